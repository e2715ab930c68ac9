package qr

import (
	"bytes"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"
)

// guess names the charset of bytes that no ECI declares.
func guess(b []byte) encoding.Encoding {
	if utf8.Valid(b) {
		return encoding.Nop
	}
	u, err := japanese.ShiftJIS.NewDecoder().Bytes(b)
	if err == nil && !bytes.ContainsAny(u, "\ufffd\u0080") { // the decoder lets the byte 0x80 pass, which is no character
		return japanese.ShiftJIS
	}
	return charmap.ISO8859_1
}

// charsetOf returns the charset of an ECI assignment number (AIM ITS/04-023), or nil for one that is not known here.
// It is long because it is a table, one number a line, and a switch is one that nobody can change.
func charsetOf(eci int) encoding.Encoding {
	switch eci {
	case 0, 2:
		return charmap.CodePage437
	case 1, 3:
		return charmap.ISO8859_1
	case 4:
		return charmap.ISO8859_2
	case 5:
		return charmap.ISO8859_3
	case 6:
		return charmap.ISO8859_4
	case 7:
		return charmap.ISO8859_5
	case 8:
		return charmap.ISO8859_6
	case 9:
		return charmap.ISO8859_7
	case 10:
		return charmap.ISO8859_8
	case 11:
		return charmap.ISO8859_9
	case 12:
		return charmap.ISO8859_10
	case 13:
		return charmap.Windows874 // holds ISO 8859-11
	case 15:
		return charmap.ISO8859_13
	case 16:
		return charmap.ISO8859_14
	case 17:
		return charmap.ISO8859_15
	case 18:
		return charmap.ISO8859_16
	case 20:
		return japanese.ShiftJIS
	case 21:
		return charmap.Windows1250
	case 22:
		return charmap.Windows1251
	case 23:
		return charmap.Windows1252
	case 24:
		return charmap.Windows1256
	case 25:
		return unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)
	case 26, 27, 170:
		return encoding.Nop // UTF-8, and the ASCII in it
	case 28:
		return traditionalchinese.Big5
	case 29, 31, 32:
		return simplifiedchinese.GB18030 // holds GB 2312 and GBK
	case 30:
		return korean.EUCKR
	case 33:
		return unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)
	case 34:
		return utf32.UTF32(utf32.BigEndian, utf32.IgnoreBOM)
	case 35:
		return utf32.UTF32(utf32.LittleEndian, utf32.IgnoreBOM)
	}
	return nil
}
