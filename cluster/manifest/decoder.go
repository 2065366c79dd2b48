package manifest

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kubejson "k8s.io/apimachinery/pkg/runtime/serializer/json"

	"github.com/nameplane/nameplane/cluster"
)

// decoder makes objects of files.
type decoder struct {
	needs cluster.Needs
	log   *slog.Logger
}

// maxErrors of one file are told: the first is often the cause of the others.
const maxErrors = 5

// file reads all documents of a file. An error means that the file is broken, and names file and line.
func (d decoder) file(path string, text []byte) (*objects, error) {
	out := &objects{}
	strict := kubejson.NewSerializerWithOptions(kubejson.DefaultMetaFactory, nil, runtime.NewScheme(), kubejson.SerializerOptions{Strict: true})
	var errs []string
	for _, doc := range split(path, text) {
		r := reader{decoder: d, strict: strict, out: out, doc: doc}
		if err := r.document(); err != nil {
			errs = append(errs, err.Error())
		}
	}
	if n := len(errs) - maxErrors; n > 0 {
		errs = append(errs[:maxErrors], fmt.Sprintf("%d more errors", n))
	}
	if errs != nil {
		return nil, errors.New(strings.Join(errs, "; "))
	}
	return out, nil
}

// reader reads one document.
type reader struct {
	decoder
	strict *kubejson.Serializer
	out    *objects
	doc    *document
	under  []any  // path of the object in the document: of a list's item
	what   string // the object, for messages: "Service default/web"
}

// head is what all objects have.
type head struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	} `json:"metadata"`
	Items []json.RawMessage `json:"items"`
}

func (r *reader) document() error {
	data, err := r.doc.json()
	if err != nil {
		return err
	}
	if string(data) == "null" {
		return nil
	}
	return r.object(data, "", "")
}

// object reads an object or a list of them. Items of a typed list need not say what they are: the list does.
func (r *reader) object(data []byte, apiVersion, kind string) error {
	var h head
	if err := json.Unmarshal(data, &h); err != nil {
		return r.shape(data, err)
	}
	if h.Kind == "" {
		h.Kind, h.APIVersion = kind, apiVersion
	}
	switch {
	case h.Kind == "":
		return r.errorf([]any{"kind"}, "no kind: not a Kubernetes object")
	case h.APIVersion == "":
		return r.errorf([]any{"apiVersion"}, "%s without apiVersion", h.Kind)
	case strings.HasSuffix(h.Kind, "List"):
		return r.list(&h)
	}
	return r.one(data, &h)
}

func (r *reader) list(h *head) error {
	kind, apiVersion := strings.TrimSuffix(h.Kind, "List"), h.APIVersion
	for i, item := range h.Items {
		inner := *r
		inner.under = append(slices.Clone(r.under), "items", i)
		if len(inner.under) > 2 {
			return r.errorf(nil, "a list within a list")
		}
		if err := inner.object(item, apiVersion, kind); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) one(data []byte, h *head) error {
	r.what = h.Kind + " " + h.Metadata.Name
	if h.Kind != "Namespace" && h.Kind != "Node" {
		namespace := h.Metadata.Namespace
		if namespace == "" {
			namespace = metav1.NamespaceDefault
		}
		r.what = h.Kind + " " + namespace + "/" + h.Metadata.Name
		r.out.named = append(r.out.named, namespace)
	}
	read := r.reader(h.APIVersion + "/" + h.Kind)
	if read == nil {
		r.log.Debug("manifest: not of a kind that names or virtual IPs need", "at", r.place(), "object", r.what, "apiVersion", h.APIVersion)
		return nil
	}
	if h.Metadata.Name == "" {
		return r.errorf([]any{"metadata"}, "metadata.name is missing")
	}
	return read(data)
}

// reader reads objects of a kind; nil where nobody needs any.
func (r *reader) reader(kind string) func([]byte) error {
	all := map[string]func([]byte) error{
		"v1/Service":                        into(r, r.service),
		"v1/Endpoints":                      into(r, r.legacyEndpoints),
		"v1/Pod":                            into(r, r.pod),
		"v1/Node":                           into(r, r.node),
		"v1/Namespace":                      into(r, r.namespace),
		"discovery.k8s.io/v1/EndpointSlice": into(r, r.slice),
	}
	if r.needs.Imports {
		all["multicluster.x-k8s.io/v1alpha1/ServiceImport"] = r.serviceImport
	}
	if r.needs.Ingresses {
		all["networking.k8s.io/v1/Ingress"] = into(r, r.ingress)
	}
	if r.needs.Gateways {
		all["gateway.networking.k8s.io/v1/Gateway"] = r.gateway
		all["gateway.networking.k8s.io/v1/HTTPRoute"] = r.route
	}
	return all[kind]
}

// into decodes strictly. A field that is not known is no reason to do without the object, as it may be of a newer
// Kubernetes; but it is told, as it may be a slip.
func into[T any, P interface {
	*T
	runtime.Object
	metav1.Object
}](r *reader, take func(P)) func([]byte) error {
	return func(data []byte) error {
		object := P(new(T))
		_, _, err := r.strict.Decode(data, nil, object)
		if strict, ok := runtime.AsStrictDecodingError(err); ok {
			for _, err := range strict.Errors() {
				r.unknown(err)
			}
		} else if err != nil {
			return r.shape(data, err)
		}
		if object.GetNamespace() == "" {
			object.SetNamespace(metav1.NamespaceDefault)
		}
		take(object)
		return nil
	}
}

// shape is an error of the decoder, with its line where the decoder tells it.
func (r *reader) shape(data []byte, err error) error {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return r.errorf(nil, "%v", err)
	}
	path := pathTo(data, wrong.Offset)
	where := ""
	if len(path) > 0 {
		where = join(path) + ": "
	}
	return r.errorf(path, "%s%s, where %s is wanted", where, inYAML(wrong.Value), inYAML(wrong.Type.Kind().String()))
}

// inYAML names a kind of value, of JSON or of Go, in the words of YAML.
func inYAML(kind string) string {
	switch {
	case strings.HasPrefix(kind, "int"), strings.HasPrefix(kind, "uint"):
		return "a whole number"
	case kind == "slice", kind == "array":
		return "a list"
	case kind == "map", kind == "struct", kind == "object":
		return "a mapping"
	case kind == "bool":
		return "true or false"
	}
	return "a " + kind
}

func (r *reader) unknown(err error) {
	path := []any(nil)
	if quoted := regexp.MustCompile(`"([^"]+)"`).FindStringSubmatch(err.Error()); quoted != nil {
		path = fieldPath(quoted[1])
	}
	r.problem(path, "%v", err)
}

func (r *reader) errorf(path []any, format string, args ...any) error {
	what := ""
	if r.what != "" {
		what = r.what + ": "
	}
	return fmt.Errorf("%s: %s%s", r.at(path...), what, fmt.Sprintf(format, args...))
}

// problem notes a broken rule that costs an object, or a part of one, but not the file.
func (r *reader) problem(path []any, format string, args ...any) {
	r.out.problems = append(r.out.problems, r.errorf(path, format, args...).Error())
}

// at is the place of a field of the object: "file:line".
func (r *reader) at(path ...any) string {
	return fmt.Sprintf("%s:%d", r.doc.file, r.doc.lineOf(append(slices.Clone(r.under), path...)...))
}

// place is where the object's document begins: good enough for what is seldom told, and known without parsing.
func (r *reader) place() string { return fmt.Sprintf("%s:%d", r.doc.file, r.doc.begins()) }

func join(path []any) string {
	var b strings.Builder
	for i, step := range path {
		switch step := step.(type) {
		case int:
			fmt.Fprintf(&b, "[%d]", step)
		default:
			if i > 0 {
				b.WriteByte('.')
			}
			fmt.Fprint(&b, step)
		}
	}
	return b.String()
}
