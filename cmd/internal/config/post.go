package config

import (
	"fmt"
	"path"
	"path/filepath"
	"strconv"
	"time"

	"gatepost/scanner/form/strict"
)

// Post is the part of a Kiosk's configuration that tells what stands at the gate beside its camera. What is empty is not
// there.
type Post struct {
	Screen struct {
		Device string `toml:"device"`
		Turn   int    `toml:"turn"`
		Lane   string `toml:"lane"`
		Touch  string `toml:"touch"`
	} `toml:"screen"`
	GPIO struct {
		Chip string `toml:"chip"`
	} `toml:"gpio"`
	Turnstile struct {
		Lane      string `toml:"lane"`
		Line      string `toml:"line"`
		ActiveLow bool   `toml:"active_low"`
		Safe      bool   `toml:"fail_safe"`
		Turned    string `toml:"turned"`
		Pulse     string `toml:"pulse"`
		Wait      string `toml:"wait"`
	} `toml:"turnstile"`
	Button struct {
		Key  string `toml:"key"`
		Undo string `toml:"undo"`
		Turn string `toml:"turn"`
	} `toml:"button"`
	Ring struct {
		PWM  string `toml:"pwm"`
		Lane string `toml:"lane"`
	} `toml:"ring"`
	Buzzer struct {
		Line string `toml:"line"`
		PWM  string `toml:"pwm"`
	} `toml:"buzzer"`
	Speaker struct {
		Device string `toml:"device"`
		Dir    string `toml:"dir"`
	} `toml:"speaker"`
	RTC struct {
		Bus int `toml:"bus"`
	} `toml:"rtc"`
	Watchdog struct {
		Device  string `toml:"device"`
		Timeout string `toml:"timeout"`
		Hung    string `toml:"hung"`
	} `toml:"watchdog"`

	Pulse, Wait time.Duration `toml:"-"` // of the turnstile
	Dog, Hung   time.Duration `toml:"-"` // of the watchdog
}

const defaultPost = `
[screen]
device = ""                   # a framebuffer, /dev/fb0; empty: no screen
turn = 0                      # by how many degrees clockwise the picture is turned: 0, 90, 180, 270
lane = ""                     # whose screen it is; empty: every lane's
touch = ""                    # a touch panel over it: its event node, or its name, in which * stands for anything

[gpio]
chip = ""                     # where turnstile, buttons and buzzer are, as /dev/gpiochip0 or its label

[turnstile]
line = ""                     # the relay's line, by name or number; empty: none
lane = ""                     # whose turnstile it is; empty: every lane's
active_low = false            # the relay is moved by a low level
fail_safe = false             # power holds it shut, and it opens without; false: it stays shut without power
turned = ""                   # the line of a contact to ground that moves when somebody goes through; empty: nothing tells
pulse = "700ms"               # how long it is unlocked, unless somebody goes through before
wait = "8s"                   # who has not gone through then did not pass: the passage is undone

[button]                      # contacts to ground, by line; empty: none
key = ""                      # the guard has seen the verdict
undo = ""                     # undoes the last passage, if it is not older than half a minute
turn = ""                     # turns every lane, from in to out and back

[ring]
pwm = ""                      # the ring light's channel, as /sys/class/pwm/pwmchip0/0; empty: none
lane = ""                     # whose camera it lights; empty: the first lane's

[buzzer]
line = ""                     # of a buzzer with a pitch of its own
pwm = ""                      # or the channel of one without

[speaker]
device = ""                   # ALSA's name for it, as "default"; empty: none
dir = ""                      # a folder with recorded/in.wav, made/in.wav and so on (buildroot/voices.sh); empty: chirps

[rtc]
bus = -1                      # the I2C bus of a DS3231, 1 for /dev/i2c-1; -1: none

[watchdog]
device = ""                   # /dev/watchdog; empty: none
timeout = "15s"               # the board is reset when it is not fed for so long
hung = "30s"                  # and it is not fed when a lane, the journal or the decisions show no sign of life for so long
`

func (p *Post) check(doc *strict.Doc) {
	duration := func(key, text string, least time.Duration) time.Duration {
		d, err := time.ParseDuration(text)
		if err != nil || d < least {
			doc.Fault(key, "%q is no duration of %v or more", text, least)
		}
		return d
	}
	p.Pulse = duration("turnstile.pulse", p.Turnstile.Pulse, 10*time.Millisecond)
	p.Wait = duration("turnstile.wait", p.Turnstile.Wait, p.Pulse)
	p.Dog = duration("watchdog.timeout", p.Watchdog.Timeout, time.Second)
	p.Hung = duration("watchdog.hung", p.Watchdog.Hung, time.Second)
	if t := p.Screen.Turn; t%90 != 0 || t < 0 || t > 270 {
		doc.Fault("screen.turn", "%d is none of 0, 90, 180 and 270", t)
	}
	for key, text := range map[string]string{"ring.pwm": p.Ring.PWM, "buzzer.pwm": p.Buzzer.PWM} {
		if _, _, err := PWM(text); text != "" && err != nil {
			doc.Fault(key, "%v", err)
		}
	}
	if p.GPIO.Chip == "" {
		for key, line := range map[string]string{
			"turnstile.line": p.Turnstile.Line, "button.key": p.Button.Key, "button.undo": p.Button.Undo, "button.turn": p.Button.Turn,
			"buzzer.line": p.Buzzer.Line,
		} {
			if line != "" {
				doc.Fault(key, "without gpio.chip nobody knows where line %q is", line)
			}
		}
	}
}

// PWM parts a channel's path into its controller's folder and its number.
func PWM(text string) (chip string, channel int, err error) {
	chip, number := path.Split(text)
	channel, err = strconv.Atoi(number)
	if err != nil || channel < 0 || chip == "" {
		return "", 0, fmt.Errorf("%q is no channel such as \"/sys/class/pwm/pwmchip0/0\"", text)
	}
	return path.Clean(chip), channel, nil
}

// resolve makes the paths relative to the folder of the configuration's file.
func (p *Post) resolve(dir string) {
	if d := &p.Speaker.Dir; *d != "" && !filepath.IsAbs(*d) {
		*d = filepath.Join(dir, *d)
	}
}
