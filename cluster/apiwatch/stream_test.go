package apiwatch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// names reads a list into the names of its objects.
func names(r io.Reader) (version string, list []string, err error) {
	version, err = items(r, func(object []byte) error {
		meta, err := readMetadata(object)
		list = append(list, meta.name)
		return err
	})
	return version, list, err
}

func TestItems(t *testing.T) {
	t.Parallel()
	two := listed("10", "a", "b")
	whole := must((&runtime.Unknown{
		TypeMeta: runtime.TypeMeta{APIVersion: "v1", Kind: "ServiceList"}, Raw: must((&corev1.ServiceList{}).Marshal()), ContentType: inProtobuf,
	}).Marshal())
	for _, tt := range []struct {
		name  string
		bytes []byte
		want  string // version and names
		err   string
	}{
		{name: "two", bytes: two, want: "10 a b"},
		{name: "none", bytes: listed("10"), want: "10"},
		{name: "with all fields of the envelope", bytes: append(magic[:], whole...), want: ""},
		{name: "nothing", bytes: nil, err: "unexpected EOF"},
		{name: "an envelope without content", bytes: magic[:], err: "unexpected EOF"},
		{name: "JSON", bytes: []byte(`{"kind":"ServiceList"}`), err: `instead of "k8s\x00"`},
		{name: "a length of more than there can be", bytes: append(magic[:], 0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01), err: "a list of"},
		{name: "an object of more than there can be", bytes: append(magic[:], 0x12, 0xff, 0xff, 0xff, 0x7f, 0x12, 0xff, 0xff, 0xff, 0x0f), err: "garbage"},
		{name: "a number where a message is due", bytes: append(magic[:], 0x10, 0x01), err: "wire type 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			version, list, err := names(bytes.NewReader(tt.bytes))
			if got := strings.Join(append([]string{version}, list...), " "); err == nil && got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
		})
	}
}

// However a list comes in pieces it is the same, and wherever it is cut that is an error.
func TestItemsInPieces(t *testing.T) {
	t.Parallel()
	whole := listed("10", "a", "b", "c")
	version, list, err := names(iotest.OneByteReader(bytes.NewReader(whole)))
	if err != nil || version != "10" || strings.Join(list, "") != "abc" {
		t.Errorf("byte by byte: %q %q %v", version, list, err)
	}
	const after = 4 // the envelope's last two fields, empty
	for n := range len(whole) - after {
		if _, _, err := names(bytes.NewReader(whole[:n])); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut after %d of %d bytes: %v", n, len(whole), err)
		}
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	var stream bytes.Buffer
	for _, name := range []string{"small", strings.Repeat("big", 100_000), "small again"} {
		stream.Write(frame("MODIFIED", service(name, "7")))
	}
	s := newEvents(iotest.HalfReader(&stream))
	for _, size := range []int{5, 300_000, 11} {
		e, err := s.next()
		if err != nil {
			t.Fatal(err)
		}
		meta, err := readMetadata(e.object)
		if err != nil || e.kind != "MODIFIED" || len(meta.name) != size || meta.version != "7" {
			t.Errorf("%s of a name of %d bytes, want %d: %v", e.kind, len(meta.name), size, err)
		}
	}
	if _, err := s.next(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
	if cap(s.buffer) > 64<<10 {
		t.Errorf("%d bytes are kept after a big object", cap(s.buffer))
	}
}

func FuzzStreams(f *testing.F) {
	f.Add(listed("10", "a", "b"))
	f.Add(frame("ADDED", service("a", "1")))
	f.Add(append(binary.BigEndian.AppendUint32(nil, 3), "abc"...))
	f.Fuzz(func(t *testing.T, stream []byte) {
		if _, list, err := names(bytes.NewReader(stream)); err == nil && len(list) > len(stream) {
			t.Error("more objects than bytes")
		}
		s := newEvents(bytes.NewReader(stream))
		for range len(stream) {
			if _, err := s.next(); err != nil {
				return
			}
		}
		if len(stream) > 0 {
			t.Error("more events than bytes")
		}
	})
}
