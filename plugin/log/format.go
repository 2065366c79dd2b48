package log

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
)

const (
	commonFormat   = `{remote}:{port} - {>id} "{type} {class} {name} {proto} {size} {>do} {>bufsize}" {rcode} {>rflags} {rsize} {duration}`
	combinedFormat = commonFormat + ` "{>opcode}"`

	// nothing stands for a value that there is not.
	nothing = "-"
)

// appender appends one value of a query or its reply to a line.
type appender func(line []byte, x *plugin.Exchange, now time.Time) []byte

// piece is a text, or a value in its place.
type piece struct {
	text  string
	value appender
}

// format is a line with placeholders, compiled.
type format []piece

// parseFormat compiles a line. What is no placeholder is text, be it in braces.
func parseFormat(line string) format {
	line = strings.ReplaceAll(line, "{common}", commonFormat)
	line = strings.ReplaceAll(line, "{combined}", combinedFormat)
	var (
		f    format
		text int // where the text in front of the next placeholder begins
	)
	for at := 0; ; {
		end := strings.IndexByte(line[at:], '}') + at
		if end < at {
			break
		}
		begin := strings.LastIndexByte(line[at:end], '{') + at
		at = end + 1
		if begin < text {
			continue
		}
		value := placeholder(line[begin+1 : end])
		if value == nil {
			continue
		}
		if begin > text {
			f = append(f, piece{text: line[text:begin]})
		}
		f = append(f, piece{value: value})
		text = at
	}
	if text < len(line) {
		f = append(f, piece{text: line[text:]})
	}
	return f
}

func (f format) append(line []byte, x *plugin.Exchange, now time.Time) []byte {
	for i := range f {
		if f[i].value == nil {
			line = append(line, f[i].text...)
			continue
		}
		line = f[i].value(line, x, now)
	}
	return line
}

// placeholder is the value that a placeholder stands for, nil if it is none.
func placeholder(name string) appender {
	if value := queryValue(name); value != nil {
		return value
	}
	if value := replyValue(name); value != nil {
		return value
	}
	if label, ok := strings.CutPrefix(name, "/"); ok {
		return metadata(label)
	}
	return nil
}

// metadata is a value that another directive knows.
func metadata(label string) appender {
	return func(line []byte, x *plugin.Exchange, _ time.Time) []byte {
		value, ok := x.Metadata.Value(label)
		if !ok {
			value = nothing
		}
		return append(line, value...)
	}
}

func queryValue(name string) appender {
	switch name {
	case "type":
		return func(line []byte, x *plugin.Exchange, _ time.Time) []byte {
			return append(line, x.Query.TypeString()...)
		}
	case "class":
		return func(line []byte, x *plugin.Exchange, _ time.Time) []byte {
			return append(line, x.Query.ClassString()...)
		}
	case "name":
		return func(line []byte, x *plugin.Exchange, _ time.Time) []byte {
			return append(line, strings.ToLower(x.Query.NameString())...)
		}
	case "proto":
		return func(line []byte, x *plugin.Exchange, _ time.Time) []byte {
			return append(line, x.Transport.String()...)
		}
	case "size":
		return func(line []byte, x *plugin.Exchange, _ time.Time) []byte { return appendInt(line, x.Query.Len()) }
	case "remote":
		return func(line []byte, x *plugin.Exchange, _ time.Time) []byte { return appendAddr(line, x.Client.Addr()) }
	case "port":
		return func(line []byte, x *plugin.Exchange, _ time.Time) []byte {
			return appendInt(line, int(x.Client.Port()))
		}
	case "local":
		return func(line []byte, x *plugin.Exchange, _ time.Time) []byte { return appendAddr(line, x.Local.Addr()) }
	case ">id":
		return func(line []byte, x *plugin.Exchange, _ time.Time) []byte { return appendInt(line, int(x.Query.ID())) }
	case ">opcode":
		return func(line []byte, x *plugin.Exchange, _ time.Time) []byte { return appendInt(line, x.Query.Opcode()) }
	case ">do":
		return func(line []byte, x *plugin.Exchange, _ time.Time) []byte {
			return strconv.AppendBool(line, x.Query.EDNS.DO())
		}
	case ">bufsize":
		return func(line []byte, x *plugin.Exchange, _ time.Time) []byte { return appendInt(line, x.Limit()) }
	}
	return nil
}

func replyValue(name string) appender {
	switch name {
	case "rcode":
		return appendRcode
	case ">rflags":
		return func(line []byte, x *plugin.Exchange, _ time.Time) []byte {
			if !x.Reply.Made() {
				return append(line, nothing...)
			}
			return x.Reply.AppendFlags(line)
		}
	case "rsize":
		return func(line []byte, x *plugin.Exchange, _ time.Time) []byte {
			if !x.Reply.Made() {
				return append(line, '0')
			}
			return appendInt(line, x.Reply.Len())
		}
	case "duration":
		return func(line []byte, x *plugin.Exchange, now time.Time) []byte {
			return append(strconv.AppendFloat(line, now.Sub(x.Now).Seconds(), 'f', -1, 64), 's')
		}
	case "/log/type":
		return func(line []byte, x *plugin.Exchange, now time.Time) []byte {
			return append(line, classify(x, now).String()...)
		}
	case "/log/class":
		return func(line []byte, x *plugin.Exchange, now time.Time) []byte {
			return append(line, classify(x, now).className()...)
		}
	}
	return nil
}

func appendRcode(line []byte, x *plugin.Exchange, _ time.Time) []byte {
	if !x.Reply.Made() {
		return append(line, nothing...)
	}
	if name, known := dns.RcodeToString[x.Reply.Rcode()]; known {
		return append(line, name...)
	}
	return appendInt(line, x.Reply.Rcode())
}

func appendInt(line []byte, n int) []byte { return strconv.AppendInt(line, int64(n), 10) }

// appendAddr puts IPv6 addresses in brackets (RFC 3986, section 3.2.2), since a port may follow.
func appendAddr(line []byte, addr netip.Addr) []byte {
	switch {
	case !addr.IsValid():
		return append(line, nothing...)
	case addr.Is4():
		return addr.AppendTo(line)
	}
	return append(addr.AppendTo(append(line, '[')), ']')
}
