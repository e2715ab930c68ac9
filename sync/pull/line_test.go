package pull

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"gatepost/storage/entry"
	"gatepost/sync/wire"
	"gatepost/sync/wire/wiretest"
)

// lines returns the lines of a batch with these bodies.
func lines(t testing.TB, bodies ...entry.Body) (all []Line) {
	t.Helper()
	m := wiretest.New("abc", stamp.Wall)
	m.Batch(t, 1, stamp, bodies...)
	b, err := wire.Parse(first(t, m).Raw)
	if err != nil {
		t.Fatal(err)
	}
	for i, raw := range b.Entries {
		l, err := line(Cursor{"abc", 1, i + 1}, b, raw)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
	return all
}

// What is written by hand is what encoding/json writes, and is read back without it.
func TestLineIsJSON(t *testing.T) {
	for _, l := range lines(t,
		entry.Passage{Lane: "a", Direction: entry.In, Verdict: entry.Admit, Form: "f/1", Tag: []byte{1, 255}, Sealed: bytes.Repeat([]byte{0xfb, 0xff}, 99)},
		entry.Passage{Lane: "Cổng \"<1>\" & \\ \u2028\x01", Direction: 9, Verdict: 9},
		entry.Undo{Seq: 7}, entry.Fault{Part: "camera", Text: "gone"}, entry.Boot{},
	) {
		var want bytes.Buffer
		if err := json.NewEncoder(&want).Encode(l); err != nil {
			t.Fatal(err)
		}
		got := l.append(nil)
		if string(got) != want.String() {
			t.Errorf("%s\nwant\n%s", got, want.String())
		}
		var scratch []byte
		back, ok := quick(bytes.TrimSuffix(got, []byte("\n")), &scratch)
		if slow, err := ParseLine(got); !ok || err != nil || !reflect.DeepEqual(back, slow) {
			t.Errorf("%v, %+v, want %+v, %v", ok, back, slow, err)
		}
	}
}

// Whatever is changed in a line, the quick way does not take it.
func TestQuickTakesNothingElse(t *testing.T) {
	l := lines(t, passages(1)...)[0]
	raw := string(bytes.TrimSuffix(l.append(nil), []byte("\n")))
	var scratch []byte
	if _, ok := quick([]byte(raw), &scratch); !ok {
		t.Fatal("the line itself is not taken")
	}
	for i := range len(raw) {
		for _, c := range "\"x0 }" {
			other := raw[:i] + string(c) + raw[i+1:]
			got, ok := quick([]byte(other), &scratch)
			if !ok || other == raw {
				continue
			}
			// Another cursor, device, span or signature is a line as good as this one; the chain and the key tell.
			slow, err := ParseLine([]byte(other))
			if err != nil || sameInClear(slow) != nil || !reflect.DeepEqual(got, slow) {
				t.Errorf("%s is taken", other)
			}
		}
	}
	for _, other := range []string{
		"", "{}", raw + " ", raw[:len(raw)-1], strings.Replace(raw, `{"cursor"`, `{"seq":9,"cursor"`, 1),
		strings.Replace(raw, `,"entry"`, `,"undoes":1,"entry"`, 1), strings.Replace(raw, `"in"`, `"out"`, 1),
		strings.Replace(raw, `,"batch"`, `,"personal":{"name":["x"]},"batch"`, 1),
	} {
		if _, ok := quick([]byte(other), &scratch); ok {
			t.Errorf("%s is taken", other)
		}
	}
}

func BenchmarkLine(b *testing.B) {
	bodies := passages(100)
	for i := range bodies {
		bodies[i] = entry.Passage{Lane: "gate-1", Direction: entry.In, Verdict: entry.Admit, Form: "covid-2021/1", Tag: make([]byte, 16), Sealed: bytes.Repeat([]byte{0xfb, byte(i)}, 90)}
	}
	m := wiretest.New("abc", stamp.Wall)
	m.Batch(b, 1, stamp, bodies...)
	batch, err := wire.Parse(first(b, m).Raw)
	if err != nil {
		b.Fatal(err)
	}
	p := piece{batch, 1, 0, len(batch.Entries)}
	b.Run("write", func(b *testing.B) {
		var buf []byte
		for b.Loop() {
			if buf, err = p.lines(buf[:0], "abc"); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/line")
	})
	b.Run("read", func(b *testing.B) {
		buf, _ := p.lines(nil, "abc")
		all := bytes.Split(bytes.TrimSuffix(buf, []byte("\n")), []byte("\n"))
		for b.Loop() {
			c := &Client{}
			for _, raw := range all {
				l, err := c.read(raw)
				if err == nil {
					_, err = c.check(&l)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/line")
	})
	raw := first(b, m).Raw
	b.Run("check", func(b *testing.B) {
		for b.Loop() {
			batch, err := wire.Parse(raw)
			if err == nil {
				err = batch.Verify(wiretest.Key(1).Public().(ed25519.PublicKey))
			}
			if err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/line")
	})
}
