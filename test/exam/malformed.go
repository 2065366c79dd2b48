package exam

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/test/world"
)

// packet is what no ordinary client sends.
type packet struct {
	why   string
	bytes []byte
}

// malform makes a packet of each kind out of every question, the same ones for the same seed.
func malform(seed uint64, questions []world.Question) ([]packet, error) {
	r := rand.New(rand.NewPCG(seed, 3))
	var packets []packet
	for _, q := range questions {
		sound, err := q.Msg.Pack()
		if err != nil {
			return nil, err
		}
		for _, d := range damages {
			b := d.do(r, append([]byte(nil), sound...))
			packets = append(packets, packet{why: d.why, bytes: b})
		}
	}
	return packets, nil
}

const headerSize = 12

type damage struct {
	why string
	do  func(r *rand.Rand, p []byte) []byte
}

// setBits changes the header's second word.
func setBits(p []byte, clear, set uint16) []byte {
	binary.BigEndian.PutUint16(p[2:], binary.BigEndian.Uint16(p[2:])&^clear|set)
	return p
}

var damages = []damage{
	{"nothing wrong", func(_ *rand.Rand, p []byte) []byte { return p }},
	{"cut", func(r *rand.Rand, p []byte) []byte { return p[:r.IntN(len(p))] }},
	{"cut in the question", func(r *rand.Rand, p []byte) []byte { return p[:headerSize+r.IntN(min(20, len(p)-headerSize))] }},
	{"noise", func(r *rand.Rand, _ []byte) []byte { return noise(r, r.IntN(500)) }},
	{"noise behind a header", func(r *rand.Rand, p []byte) []byte { return append(p[:headerSize], noise(r, r.IntN(100))...) }},
	{"trailing noise", func(r *rand.Rand, p []byte) []byte { return append(p, noise(r, 1+r.IntN(50))...) }},
	{"flipped bytes", func(r *rand.Rand, p []byte) []byte {
		for range 1 + r.IntN(3) {
			p[2+r.IntN(len(p)-2)] ^= byte(1 + r.IntN(255))
		}
		return p
	}},
	{"lying counts", func(r *rand.Rand, p []byte) []byte {
		section := r.IntN(4)
		binary.BigEndian.PutUint16(p[4+2*section:], []uint16{0, 1, 2, 3, 255, 65535}[r.IntN(6)])
		return p
	}},
	{"opcode", func(r *rand.Rand, p []byte) []byte { return setBits(p, 0x7800, uint16(r.IntN(16))<<11) }},
	{"opcode and no question", func(r *rand.Rand, p []byte) []byte {
		p = setBits(p[:headerSize], 0x7800, uint16(r.IntN(16))<<11)
		clear(p[4:])
		return p
	}},
	{"any flags", func(r *rand.Rand, p []byte) []byte { return setBits(p, 0x87ff, uint16(r.IntN(1<<16))&0x07ff) }},
	{"a response", func(_ *rand.Rand, p []byte) []byte { return setBits(p, 0, 1<<15) }},
	{"class", func(r *rand.Rand, p []byte) []byte {
		return setClass(p, []uint16{0, 2, 3, 4, 254, 255, 9999}[r.IntN(7)])
	}},
	{"two questions", func(_ *rand.Rand, p []byte) []byte {
		end := questionEnd(p)
		two := append(append([]byte(nil), p[:end]...), p[headerSize:]...)
		binary.BigEndian.PutUint16(two[4:], 2)
		return two
	}},
	{"pointer in the question", func(r *rand.Rand, p []byte) []byte {
		target := []byte{0, 4, 11, 12, 13, 20, 255}[r.IntN(7)]
		return append(bare(p), 1, 'a', 0xc0, target, 0, 1, 0, 1)
	}},
	{"label of a reserved kind", func(r *rand.Rand, p []byte) []byte {
		return append(bare(p), []byte{0x40, 0x80, 0x41, 0xbf}[r.IntN(4)], 'a', 0, 0, 1, 0, 1)
	}},
	{"name too long", func(r *rand.Rand, p []byte) []byte {
		p = bare(p)
		for range 124 + r.IntN(10) {
			p = append(p, 1, 'x')
		}
		return append(p, 0, 0, 1, 0, 1)
	}},
	{"OPT", func(r *rand.Rand, p []byte) []byte {
		p = bare(p)
		p = append(p, "\x03www\x07example\x03com\x00\x00\x01\x00\x01"...)
		return oddOPT(r, p)
	}},
	{"long", func(r *rand.Rand, p []byte) []byte {
		p = bare(p)
		p = append(p, "\x03www\x07cluster\x05local\x00\x00\x01\x00\x01"...)
		binary.BigEndian.PutUint16(p[10:], 1)
		size := []int{440, 512 - 50, 600, 1500, 4000}[r.IntN(5)]
		p = append(p, 0, 0, byte(dns.TypeOPT), 0x10, 0, 0, 0, 0, 0)
		p = binary.BigEndian.AppendUint16(p, uint16(4+size))
		p = binary.BigEndian.AppendUint16(append(p, 0, dns.EDNS0PADDING), uint16(size))
		return append(p, make([]byte, size)...)
	}},
}

func noise(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.IntN(256))
	}
	return b
}

// bare is a header that promises one question and nothing else.
func bare(p []byte) []byte {
	p = append([]byte(nil), p[:headerSize]...)
	copy(p[4:], []byte{0, 1, 0, 0, 0, 0, 0, 0})
	return p
}

func questionEnd(p []byte) int {
	_, end, err := dns.UnpackDomainName(p, headerSize)
	if err != nil {
		return len(p)
	}
	return min(end+4, len(p))
}

func setClass(p []byte, class uint16) []byte {
	binary.BigEndian.PutUint16(p[questionEnd(p)-2:], class)
	return p
}

// oddOPT appends OPT records as they should not be: of other versions, twice, in the answer section, with an owner,
// with options that claim more than there is.
func oddOPT(r *rand.Rand, p []byte) []byte {
	opt := func(owner string, version byte, flags uint16, options string) []byte {
		b := append([]byte(owner), 0, byte(dns.TypeOPT), 0x04, 0xd0, 0, version, byte(flags>>8), byte(flags))
		return append(binary.BigEndian.AppendUint16(b, uint16(len(options))), options...)
	}
	section := 3
	switch r.IntN(9) {
	case 0:
		p = append(p, opt("\x00", byte(1+r.IntN(255)), 0, "")...)
	case 1:
		p = append(append(p, opt("\x00", 0, 0, "")...), opt("\x00", 0, 0x8000, "")...)
		binary.BigEndian.PutUint16(p[10:], 1)
	case 2:
		p = append(p, opt("\x01a\x00", 0, 0, "")...)
	case 3:
		p = append(p, opt("\x00", 0, uint16(r.IntN(1<<16)), "")...)
	case 4:
		p = append(p, opt("\x00", 0, 0, "\x00\x0a\x00\xff\x01")...)
	case 5:
		p = append(p, opt("\x00", 0, 0, "\x00\x0a")...)
	case 6:
		p = append(p, opt("\x00", 0, 0, fmt.Sprintf("\x00%c\x00\x02\x01\x02", rune(r.IntN(20))))...)
	case 7:
		section = 1 + r.IntN(2)
		p = append(p, opt("\x00", 0, 0, "")...)
	case 8:
		whole := opt("\x00", 0, 0, "\x00\x0a\x00\x08\x01\x02\x03\x04\x05\x06\x07\x08")
		p = append(p, whole[:1+r.IntN(len(whole)-1)]...)
	}
	n := binary.BigEndian.Uint16(p[4+2*section:])
	binary.BigEndian.PutUint16(p[4+2*section:], n+1)
	return p
}
