package sound

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
)

// A Speaker plays by ALSA's aplay. Of a sound it looks for DIR/recorded/NAME.wav, a person's voice; then for
// DIR/made/NAME.wav, a machine's; and where there is neither it chirps.
type Speaker struct {
	Device string // ALSA's name, as "default" or "plughw:0"
	Dir    string
}

// Voice returns the speaker's voice.
func (s Speaker) Voice() Voice {
	return func(ctx context.Context, sound Sound) error {
		play := exec.CommandContext(ctx, "aplay", "-q", "-D", s.Device)
		if path := s.file(sound); path != "" {
			play.Args = append(play.Args, path)
		} else {
			play.Stdin = bytes.NewReader(WAV(Chirp(sound)))
		}
		out, err := play.CombinedOutput()
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("speaker: %w: %s", err, bytes.TrimSpace(out))
		}
		return nil
	}
}

func (s Speaker) file(sound Sound) string {
	for _, dir := range []string{"recorded", "made"} {
		path := filepath.Join(s.Dir, dir, string(sound)+".wav")
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

const (
	rate   = 16000      // samples a second
	volume = 0.5        // of the loudest
	edge   = rate / 200 // samples over which a tone rises and falls, so that it does not click
)

// WAV returns tones as a WAV file: one channel of 16 bits, 16,000 samples a second.
func WAV(tones []Tone) []byte {
	var samples []int16
	for _, t := range tones {
		n := int(t.Long.Seconds() * rate)
		for i := range n {
			swell := min(1, float64(i)/edge, float64(n-i)/edge)
			samples = append(samples, int16(volume*swell*math.MaxInt16*math.Sin(2*math.Pi*float64(t.Hertz)*float64(i)/rate)))
		}
	}
	b := bytes.NewBuffer(nil)
	size := uint32(2 * len(samples))
	for _, part := range []any{
		[]byte("RIFF"), 36 + size, []byte("WAVEfmt "), uint32(16),
		uint16(1), uint16(1), uint32(rate), uint32(2 * rate), uint16(2), uint16(16), // PCM, one channel, bytes a second and a sample
		[]byte("data"), size, samples,
	} {
		binary.Write(b, binary.LittleEndian, part) // into memory: no error
	}
	return b.Bytes()
}
