package config

import (
	"strings"
	"testing"
	"time"
)

func TestPost(t *testing.T) {
	k, err := ParseKiosk([]byte("schema = 1\n[gpio]\nchip = \"gate\"\n[turnstile]\nline = \"RELAY\"\nfail_safe = true\nwait = \"3s\"\n[rtc]\nbus = 1\n[screen]\nturn = 270\n"))
	if err != nil {
		t.Fatal(err)
	}
	if k.Turnstile.Line != "RELAY" || !k.Turnstile.Safe || k.Wait != 3*time.Second || k.Pulse != 700*time.Millisecond || k.RTC.Bus != 1 || k.Screen.Turn != 270 || k.Dog != 15*time.Second {
		t.Errorf("%+v", k.Post)
	}
}

func TestPostFaults(t *testing.T) {
	_, err := ParseKiosk([]byte(`schema = 1
[screen]
turn = 45
[turnstile]
line = "3"
pulse = "2s"
wait = "1s"
[ring]
pwm = "pwm0"
[watchdog]
timeout = "soon"
`))
	if err == nil {
		t.Fatal("no fault")
	}
	for _, want := range []string{"line 3: screen.turn", "line 5: turnstile.line", "line 7: turnstile.wait", "line 9: ring.pwm", "line 11: watchdog.timeout"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in\n%v", want, err)
		}
	}
}

func TestPWM(t *testing.T) {
	if chip, n, err := PWM("/sys/class/pwm/pwmchip2/1"); chip != "/sys/class/pwm/pwmchip2" || n != 1 || err != nil {
		t.Errorf("%s, %d, %v", chip, n, err)
	}
	for _, bad := range []string{"", "1", "/sys/class/pwm/pwmchip2", "/x/-1"} {
		if _, _, err := PWM(bad); err == nil {
			t.Errorf("%q is a channel", bad)
		}
	}
}
