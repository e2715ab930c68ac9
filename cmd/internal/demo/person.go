package demo

import (
	"fmt"
	"strings"
	"time"

	"gatepost/scanner/credential"
	"gatepost/scanner/credential/hd1"
	"gatepost/scanner/form"
)

// A person is somebody invented. Each name is unusual enough to be searched for in the files of a run.
type person struct {
	name, birth, number string // birth is the year
}

var (
	dung  = person{"Đặng Mẫu Dũng", "1988", "001088000101"}
	lan   = person{"Tạ Mẫu Lan", "1992", "001192000202"}
	huong = person{"Hoàng Mẫu Hường", "1975", "001175000317"}
	khoi  = person{"Bùi Mẫu Khôi", "1969", "001069000404"}
	son   = person{"Vũ Mẫu Sơn", "1983", "001083000505"}
	mai   = person{"Lý Mẫu Mai", "1997", "001197000606"}

	an = person{"Phan Mẫu An", "1990", "001090000707"} // comes once, so that nobody finds them already in

	everyone = []person{dung, huong, son, mai}
)

// card returns the text of the person's identity card, which carries no answers.
func (p person) card() string {
	sex := "Nam"
	if p.number[3] == '1' {
		sex = "Nữ"
	}
	return fmt.Sprintf("%s||%s|0101%s|%s|Thôn Mẫu, Mê Linh, Hà Nội|01012022", p.number, p.name, p.birth, sex)
}

// formID is the form that the demo's policy asks for.
const formID = "covid-2021"

// healthy returns the answers of somebody who answers no to every question.
func healthy(f form.Form) map[string]any {
	answers := map[string]any{}
	for _, q := range f.Questions {
		answers[q.ID] = false
	}
	return answers
}

// declare signs the person's declaration of that time.
func (d *demo) declare(p person, answers map[string]any, at time.Time) (string, error) {
	return hd1.Issue(d.declarer, credential.Person{Name: p.name, Birth: p.birth}, credential.Declaration{
		Form: d.form.ID, Version: d.form.Version, Answers: answers, Issued: at, Expires: at.AddDate(0, 0, 7), Tail: p.number[max(len(p.number)-4, 0):],
	})
}

// shortest is how long a name must be to be looked for: a shorter one stands in any random bytes.
const shortest = 8

// secrets returns what must stand in no file of a run: every name as written and in capitals, every number, and
// the viewer's own name.
func (d *demo) secrets() (all []string) {
	for _, p := range []person{dung, lan, huong, khoi, son, mai, an} {
		all = append(all, p.name, strings.ToUpper(p.name), p.number)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range d.self {
		if len(name) >= shortest {
			all = append(all, name)
		}
	}
	return all
}
