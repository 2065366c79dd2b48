package apiwatch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/nameplane/nameplane/cluster/custom"
)

// format is what an API server's objects are written in: protobuf, but for custom resources, of which it has JSON only.
type format interface {
	media() string
	// list reads a list one object at a time; see items.
	list(body io.Reader, each func(object []byte) error) (version string, err error)
	watch(body io.Reader) stream
	metadata(object []byte) (metadata, error)
	// refused reads a metav1.Status; what is garbled stays empty.
	refused(r *refusal, status []byte)
}

// stream is the events of a watch; io.EOF when the server ended it between two. An event counts until the next.
type stream interface{ next() (event, error) }

type protobufFormat struct{}

func (protobufFormat) media() string { return inProtobuf }

func (protobufFormat) list(body io.Reader, each func([]byte) error) (string, error) {
	return items(body, each)
}

func (protobufFormat) watch(body io.Reader) stream { return newEvents(body) }

func (protobufFormat) metadata(object []byte) (metadata, error) { return readMetadata(object) }

func (protobufFormat) refused(r *refusal, status []byte) { r.read(status) }

type jsonFormat struct{}

func (jsonFormat) media() string { return inJSON }

func (jsonFormat) refused(r *refusal, status []byte) { r.readJSON(status) }

func (jsonFormat) metadata(object []byte) (metadata, error) {
	meta, err := custom.Metadata(object)
	return metadata{
		namespace: meta.Namespace, name: meta.Name, version: meta.ResourceVersion,
		listed: meta.Annotations[annotationEnd] == "true",
	}, err
}

func (jsonFormat) watch(body io.Reader) stream {
	bound := &bounded{r: body, left: biggest}
	return &jsonEvents{bound: bound, decoder: json.NewDecoder(bound)}
}

// jsonEvents reads a watch in JSON: one object {"type": …, "object": …} after the other.
type jsonEvents struct {
	bound   *bounded
	decoder *json.Decoder
	object  json.RawMessage // memory used again
}

func (s *jsonEvents) next() (event, error) {
	one := struct {
		Type   string          `json:"type"`
		Object json.RawMessage `json:"object"`
	}{Object: s.object[:0]}
	s.bound.reset()
	if err := s.decoder.Decode(&one); err != nil {
		return event{}, err
	}
	s.object = one.Object
	if one.Type == "" || !isObject(one.Object) {
		return event{}, errors.New("watch event without a type or an object")
	}
	return event{kind: one.Type, object: one.Object}, nil
}

func isObject(text []byte) bool { return bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) }

func (jsonFormat) list(body io.Reader, each func(object []byte) error) (version string, err error) {
	bound := &bounded{r: body, left: biggest}
	l := jsonList{bound: bound, decoder: json.NewDecoder(bound), each: each}
	err = cut(l.read())
	return l.version, err
}

// jsonList reads a list in JSON. Its fields come in any order.
type jsonList struct {
	bound   *bounded
	decoder *json.Decoder
	each    func(object []byte) error
	version string
}

func (l *jsonList) read() error {
	if err := l.delimiter('{'); err != nil {
		return err
	}
	for l.decoder.More() {
		l.bound.reset()
		field, err := l.decoder.Token()
		if err != nil {
			return err
		}
		switch field {
		case "items":
			err = l.items()
		case "metadata":
			var meta custom.Meta
			err = l.decoder.Decode(&meta)
			l.version = meta.ResourceVersion
		default:
			var other json.RawMessage
			err = l.decoder.Decode(&other)
		}
		if err != nil {
			return err
		}
	}
	return l.delimiter('}')
}

func (l *jsonList) items() error {
	if err := l.delimiter('['); err != nil {
		return err
	}
	var object json.RawMessage
	for l.decoder.More() {
		l.bound.reset()
		object = object[:0]
		if err := l.decoder.Decode(&object); err != nil {
			return err
		}
		if err := l.each(object); err != nil {
			return err
		}
	}
	return l.delimiter(']')
}

func (l *jsonList) delimiter(want json.Delim) error {
	have, err := l.decoder.Token()
	if err == nil && have != want {
		err = fmt.Errorf("a list in JSON has %v where %v is wanted", have, want)
	}
	return err
}

// bounded ends a stream within an object that is too big to be one.
type bounded struct {
	r    io.Reader
	left int
}

func (b *bounded) reset() { b.left = biggest }

func (b *bounded) Read(p []byte) (n int, err error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("an object of more than %d bytes in the stream", biggest)
	}
	n, err = b.r.Read(p)
	b.left -= n
	return n, err
}
