package guard

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// knock asks a door and returns the answer's status and the cookie that it gives or got.
func knock(d *Door, path string, c *http.Cookie) (int, *http.Cookie) {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	if c != nil {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	d.Guard(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })).ServeHTTP(w, r)
	for _, given := range w.Result().Cookies() {
		c = given
	}
	return w.Code, c
}

func TestDoor(t *testing.T) {
	now := time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)
	d := NewDoor(func() time.Time { return now })
	for _, path := range []string{"/", "/act", "/in", "/in?key=", "/in?key=AAAA", d.Path() + "A"} {
		if code, c := knock(d, path, nil); code != http.StatusForbidden || c != nil {
			t.Errorf("%s without a key: %d, %v", path, code, c)
		}
	}
	first := d.Path()
	code, phone := knock(d, first, nil)
	if code != http.StatusSeeOther || phone == nil || !phone.Secure || !phone.HttpOnly || phone.SameSite != http.SameSiteLaxMode {
		t.Fatalf("the key: %d, %+v", code, phone)
	}
	if code, _ := knock(d, "/state.json", phone); code != http.StatusNoContent {
		t.Errorf("inside: %d", code)
	}
	if code, c := knock(d, first, nil); code != http.StatusForbidden || c != nil || d.Path() == first {
		t.Errorf("the key opens twice: %d, %v", code, c)
	}
	for range maxSessions { // as many others
		knock(d, d.Path(), nil)
	}
	if code, _ := knock(d, "/", phone); code != http.StatusForbidden {
		t.Errorf("the oldest of %d: %d", maxSessions+1, code)
	}
	_, phone = knock(d, d.Path(), nil)
	now = now.Add(session)
	if code, _ := knock(d, "/", phone); code != http.StatusForbidden {
		t.Errorf("after the shift: %d", code)
	}
	_, phone = knock(d, d.Path(), nil)
	before := d.Path()
	d.Shut()
	if code, _ := knock(d, "/", phone); code != http.StatusForbidden || d.Path() == before {
		t.Errorf("after the hand-over: %d", code)
	}
}
