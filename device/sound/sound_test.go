package sound

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/gpio/gpiotest"
	"periph.io/x/conn/v3/physic"
)

// line notes what a buzzer is told, and when.
type line struct {
	gpiotest.Pin
	noPWM bool
	began time.Time
	told  []string
}

func (l *line) PWM(d gpio.Duty, f physic.Frequency) error {
	if l.noPWM {
		return errors.New("no PWM")
	}
	l.told = append(l.told, fmt.Sprint(time.Since(l.began), " ", f))
	return nil
}

func (l *line) Out(v gpio.Level) error {
	l.told = append(l.told, fmt.Sprint(time.Since(l.began), " ", v))
	return nil
}

func TestBuzzer(t *testing.T) {
	for _, c := range []struct {
		sound Sound
		noPWM bool
		want  string
	}{
		{In, false, "0s 1.500kHz,40ms 2kHz,80ms 2.700kHz,120ms Low"},
		{Out, false, "0s 2.700kHz,40ms 2kHz,80ms 1.500kHz,120ms Low"},
		{Ask, true, "0s High,80ms Low,160ms High,240ms Low"},
		{Stop, true, "0s High,250ms Low,350ms High,600ms Low"},
		{Broken, true, "0s High,250ms Low,350ms High,600ms Low,700ms High,950ms Low"},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := &line{began: time.Now(), noPWM: c.noPWM}
			if err := Buzzer(l)(t.Context(), c.sound); err != nil {
				t.Error(err)
			}
			if got := strings.Join(l.told, ","); got != c.want {
				t.Errorf("%s: %s, want %s", c.sound, got, c.want)
			}
		})
	}
}

// Each meaning that must be told apart has a chirp of its own.
func TestChirpsDiffer(t *testing.T) {
	all := []Sound{In, Out, Ask, Stop, Broken}
	for i, a := range all {
		for _, b := range all[:i] {
			if slices.Equal(Chirp(a), Chirp(b)) {
				t.Errorf("%s and %s sound alike", a, b)
			}
		}
	}
}

// The newest sound cuts off the one before, and Halt the last.
func TestPlayerSaysTheNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said []string
		began := time.Now()
		p := NewPlayer(func(err error) { said = append(said, err.Error()) }, func(ctx context.Context, s Sound) error {
			select {
			case <-ctx.Done():
				return fmt.Errorf("%s until %v", s, time.Since(began))
			case <-time.After(time.Second):
			}
			return fmt.Errorf("%s whole", s)
		})
		p.Play(In)
		time.Sleep(300 * time.Millisecond)
		p.Play(Stop)
		time.Sleep(2 * time.Second)
		p.Play(Out)
		time.Sleep(100 * time.Millisecond)
		p.Halt()
		if got := strings.Join(said, ", "); got != "in until 300ms, stop whole, out until 2.4s" {
			t.Error(got)
		}
	})
}

// A person's voice goes before a machine's, and a chirp is what is left.
func TestSpeakerChooses(t *testing.T) {
	dir := t.TempDir()
	for _, file := range []string{"recorded/in.wav", "made/in.wav", "made/out.wav"} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, file)), 0o700), os.WriteFile(filepath.Join(dir, file), nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	heard := filepath.Join(dir, "heard")
	aplay := "#!/bin/sh\necho \"$@\" >" + heard + "\n[ $# = 4 ] || wc -c >>" + heard + "\n[ \"$3\" = works ]\n"
	if err := os.WriteFile(filepath.Join(dir, "aplay"), []byte(aplay), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	for sound, want := range map[Sound]string{In: "recorded/in.wav", Out: "made/out.wav", Stop: fmt.Sprint(len(WAV(Chirp(Stop))))} {
		if err := (Speaker{"works", dir}).Voice()(t.Context(), sound); err != nil {
			t.Errorf("%s: %v", sound, err)
		}
		if got, _ := os.ReadFile(heard); !strings.Contains(string(got), "-q -D works") || !strings.Contains(string(got), want) {
			t.Errorf("%s: aplay %s, want %s", sound, got, want)
		}
	}
	if err := (Speaker{"fails", dir}).Voice()(t.Context(), In); err == nil {
		t.Error("a speaker that fails says nothing")
	}
}

// A chirp's file has the length and the pitch of its tones.
func TestWAV(t *testing.T) {
	wav := WAV([]Tone{{1000, 500 * ms}})
	if want := 44 + 2*rate/2; len(wav) != want || binary.LittleEndian.Uint32(wav[4:]) != uint32(want-8) || binary.LittleEndian.Uint32(wav[40:]) != uint32(want-44) {
		t.Fatalf("%d bytes, header % x", len(wav), wav[:44])
	}
	turns, last, loudest := 0, int16(0), 0.0
	for i := 44; i < len(wav); i += 2 {
		s := int16(binary.LittleEndian.Uint16(wav[i:]))
		if s > 0 && last <= 0 {
			turns++
		}
		last, loudest = s, max(loudest, math.Abs(float64(s)))
	}
	if turns < 498 || turns > 502 || loudest < 0.45*math.MaxInt16 || loudest > 0.55*math.MaxInt16 {
		t.Errorf("%d turns, loudest %v", turns, loudest)
	}
}

// The script that makes a machine's voice says every word, and no other.
func TestScriptSaysTheWords(t *testing.T) {
	script, err := os.ReadFile("../../buildroot/voices.sh")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(script), "<<'END'\n")
	said := map[Sound]string{}
	for row := range strings.Lines(strings.TrimSuffix(table, "END\n")) {
		name, words, _ := strings.Cut(strings.TrimSpace(row), "|")
		said[Sound(name)] = words
	}
	if !maps.Equal(said, Words) {
		t.Errorf("the script says %q", said)
	}
}
