package template

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	texttemplate "text/template"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
)

// data is what a template may use: exported fields and methods are its language.
type data struct {
	Zone   string            // of the template, the longest that holds the name
	Name   string            // in lower case
	Regex  string            // the pattern that matched
	Match  []string          // the whole match, then its groups
	Group  map[string]string // groups by number, and by name
	Class  string
	Type   string
	Remote string         // the client's address
	Var    map[string]any // of the options var

	x       *plugin.Exchange
	message *dns.Msg // unpacked when it is needed
}

func newData(x *plugin.Exchange, t *template, zone wire.Name, name string, pattern *regexp.Regexp, groups []string) *data {
	d := &data{
		Zone: zone.String(), Name: name, Regex: pattern.String(), Match: groups,
		Group:  make(map[string]string, 2*len(groups)),
		Class:  dns.ClassToString[either(x.Query.Class, t.class, dns.ClassANY)],
		Type:   dns.TypeToString[either(x.Query.Type, t.qtype, dns.TypeANY)],
		Remote: x.Client.Addr().String(),
		x:      x,
	}
	for i, group := range groups {
		d.Group[strconv.Itoa(i)] = group
	}
	for i, name := range pattern.SubexpNames() {
		if name != "" {
			d.Group[name] = groups[i]
		}
	}
	return d
}

// either is what was asked for, or the template's where all of them were.
func either(asked, mine, all uint16) uint16 {
	if asked == all {
		return mine
	}
	return asked
}

// Message is the query.
func (d *data) Message() (*dns.Msg, error) {
	if d.message == nil {
		m, err := d.x.Query.Msg()
		if err != nil {
			return nil, err
		}
		d.message = m
	}
	return d.message, nil
}

// Question is the question, in the client's spelling.
func (d *data) Question() *dns.Question {
	q := &d.x.Query
	return &dns.Question{Name: q.NameString(), Qtype: q.Type, Qclass: q.Class}
}

// Meta is the value of a label of metadata; empty for one that nobody knows.
func (d *data) Meta(label string) string {
	value, _ := d.x.Metadata.Value(label)
	return value
}

// labels are those of the metrics.
func (d *data) labels() []string { return []string{d.x.Server, d.Zone, d.x.View, d.Class, d.Type} }

// parseText makes a template of a record's text.
func parseText(section, text string) (*texttemplate.Template, error) {
	return texttemplate.New(section).Funcs(texttemplate.FuncMap{"parseInt": strconv.ParseUint}).Parse(text)
}

// record makes a record; failures are counted by the template's text.
func (h *Handler) record(text *texttemplate.Template, d *data) (dns.RR, error) {
	source := text.Root.String()
	var line bytes.Buffer
	if err := text.Execute(&line, d); err != nil {
		h.metrics.failures.WithLabelValues(append(d.labels(), text.Name(), source)...).Inc()
		return nil, fmt.Errorf("template: %s %q: %w", text.Name(), source, err)
	}
	rr, err := dns.NewRR(line.String())
	if err == nil && rr == nil {
		err = fmt.Errorf("%q holds no record", line.String())
	}
	if err != nil {
		h.metrics.badRecords.WithLabelValues(append(d.labels(), text.Name(), source)...).Inc()
		return nil, fmt.Errorf("template: %s %q: %w", text.Name(), source, err)
	}
	return rr, nil
}
