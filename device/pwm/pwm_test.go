package pwm

import (
	"os"
	"path/filepath"
	"testing"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/physic"
)

// chip makes a folder of a controller's shape whose channel 1 is exported.
func chip(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "pwm1"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"export", "pwm1/period", "pwm1/duty_cycle", "pwm1/enable"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte("0"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestChannel(t *testing.T) {
	dir := chip(t)
	c, err := Open(dir, 1)
	if err != nil {
		t.Fatal(err)
	}
	want := func(what, period, duty, enable string) {
		t.Helper()
		for file, w := range map[string]string{"period": period, "duty_cycle": duty, "enable": enable} {
			if got, err := os.ReadFile(filepath.Join(dir, "pwm1", file)); string(got) != w || err != nil {
				t.Errorf("%s: %s is %s, want %s", what, file, got, w)
			}
		}
	}
	want("opened", "1000000", "0", "1")
	if err := c.PWM(gpio.DutyHalf, 2*physic.KiloHertz); err != nil {
		t.Error(err)
	}
	want("2 kHz", "500000", "250000", "1")
	if err := c.Out(gpio.High); err != nil {
		t.Error(err)
	}
	want("high", "1000000", "1000000", "1")
	if err := c.Halt(); err != nil {
		t.Error(err)
	}
	want("halted", "1000000", "0", "0")
	for _, bad := range []func() error{
		func() error { return c.PWM(gpio.DutyMax+1, physic.Hertz) },
		func() error { return c.PWM(gpio.DutyHalf, 0) },
	} {
		if bad() == nil {
			t.Error("nonsense was set")
		}
	}
}

func TestChannelIsExportedOnce(t *testing.T) {
	dir := chip(t)
	if _, err := Open(dir, 2); err == nil {
		t.Error("a channel that did not come was opened")
	}
	if got, _ := os.ReadFile(filepath.Join(dir, "export")); string(got) != "2" {
		t.Errorf("exported %q", got)
	}
	if _, err := Open(filepath.Join(dir, "none"), 0); err == nil {
		t.Error("no controller was opened")
	}
}
