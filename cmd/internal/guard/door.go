package guard

import (
	"crypto/rand"
	"crypto/subtle"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	cookie      = "gatepost"
	session     = 16 * time.Hour // a long shift
	maxSessions = 8              // telephones and tablets at one gate; the oldest makes room
)

// A Door lets the telephones of a gate's guards onto the console: who reads the code on the gate's own screen comes in. Each
// key opens once, and then the screen shows another. It does not know who holds the telephone: the screen is to face the
// guard.
type Door struct {
	mu       sync.Mutex
	key      string
	sessions []entrance // oldest first
	now      func() time.Time
}

type entrance struct {
	token string
	until time.Time
}

// NewDoor returns a door with nobody inside.
func NewDoor(now func() time.Time) *Door { return &Door{key: rand.Text(), now: now} }

// Path is where the next telephone comes in, "/in?key=…".
func (d *Door) Path() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return "/in?key=" + d.key
}

// Shut sends everybody out: another guard has taken over.
func (d *Door) Shut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.key, d.sessions = rand.Text(), nil
}

// Guard lets requests through to h that come from who is inside.
func (d *Door) Guard(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/in" && r.Method == http.MethodGet {
			if token := d.enter(r.URL.Query().Get("key")); token != "" {
				http.SetCookie(w, &http.Cookie{
					Name: cookie, Value: token, Path: "/", MaxAge: int(session / time.Second), Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
				})
				w.Header().Set("Referrer-Policy", "no-referrer")
				http.Redirect(w, r, "/", http.StatusSeeOther)
				return
			}
		}
		if c, err := r.Cookie(cookie); err == nil && d.inside(c.Value) {
			h.ServeHTTP(w, r)
			return
		}
		http.Error(w, "Hãy quét mã trên màn hình của cổng · scan the code on the gate's screen", http.StatusForbidden)
	})
}

// enter returns a token for the right key, and makes another key.
func (d *Door) enter(key string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if subtle.ConstantTimeCompare([]byte(key), []byte(d.key)) != 1 {
		return ""
	}
	d.key = rand.Text()
	token := rand.Text()
	d.sessions = append(d.sessions, entrance{token, d.now().Add(session)})
	d.sessions = d.sessions[max(0, len(d.sessions)-maxSessions):]
	return token
}

func (d *Door) inside(token string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sessions = slices.DeleteFunc(d.sessions, func(e entrance) bool { return !d.now().Before(e.until) })
	return slices.ContainsFunc(d.sessions, func(e entrance) bool {
		return subtle.ConstantTimeCompare([]byte(token), []byte(e.token)) == 1
	})
}
