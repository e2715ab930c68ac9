package admission

import "gatepost/storage/entry"

// Words returns one short sentence for the guard, in Vietnamese and in English. A bystander may read it, so it
// says what to do and never what was answered. A reason that is not known gets words that are true of any.
func Words(r entry.Reason) (vi, en string) {
	switch r {
	case entry.ReasonDeclared:
		return "Mời vào: khai báo hợp lệ.", "Come in: the declaration is valid."
	case entry.ReasonProven:
		return "Mời vào: giấy chứng nhận hợp lệ.", "Come in: the certificate is valid."
	case entry.ReasonRemembered:
		return "Mời vào: đã khai báo tại đây.", "Come in: declared here before."
	case entry.ReasonAnswered:
		return "Mời vào: đã trả lời tại cổng.", "Come in: answered at the gate."
	case entry.ReasonIdentity:
		return "Mời vào.", "Come in."
	case entry.ReasonLeaving:
		return "Tạm biệt.", "Goodbye."
	case entry.ReasonNeedsAnswers:
		return "Vui lòng trả lời câu hỏi.", "Please answer the questions."
	case entry.ReasonUnprovable:
		return "Cần khai báo có chữ ký.", "A signed declaration is needed."
	case entry.ReasonRefusedAnswer, entry.ReasonAskedAnswer, entry.ReasonBarred: // the same words: the colour tells enough
		return "Vui lòng gặp bảo vệ.", "Please see the guard."
	case entry.ReasonExpired:
		return "Khai báo đã hết hạn, vui lòng khai báo lại.", "The declaration has expired: please declare again."
	case entry.ReasonNotYet:
		return "Khai báo chưa có hiệu lực.", "The declaration is not valid yet."
	case entry.ReasonClock:
		return "Đồng hồ của cổng chưa đúng, vui lòng hỏi lại.", "The gate's clock is not set: please ask again."
	case entry.ReasonDuplicate:
		return "Đã quét rồi.", "Already scanned."
	case entry.ReasonPassback:
		return "Chưa thấy đi ra hoặc vào trước đó.", "Was not seen going the other way before."
	case entry.ReasonUnexpected:
		return "Không có trong danh sách của cổng này.", "Not on this gate's list."
	case entry.ReasonSeveral:
		return "Vui lòng từng người một.", "One at a time, please."
	case entry.ReasonFamily:
		return "Ở đây không nhận loại mã này.", "This kind of code is not taken here."
	case entry.ReasonForm:
		return "Tờ khai này không dùng ở đây.", "This is not the form that is asked for here."
	case entry.ReasonAnswers:
		return "Tờ khai chưa đủ câu trả lời.", "The form's answers are not complete."
	case entry.ReasonSignature:
		return "Chữ ký của mã không đúng.", "The code's signature is broken."
	case entry.ReasonSigner:
		return "Không rõ ai đã ký mã này.", "It is not known who signed this code."
	case entry.ReasonStale:
		return "Danh sách khóa của cổng đã cũ.", "The gate's list of keys is too old."
	case entry.ReasonMalformed:
		return "Mã bị lỗi, vui lòng quét lại.", "The code has a fault: please scan again."
	case entry.ReasonNotPerson:
		return "Đây không phải mã của một người.", "This is not a person's code."
	case entry.ReasonKnown:
		return "Biết loại mã này nhưng chưa hỗ trợ.", "This kind of code is known but not supported."
	case entry.ReasonUnknown:
		return "Không hiểu mã này.", "This code is not understood."
	case entry.ReasonJournal:
		return "Cổng bị lỗi: không ghi được lượt qua.", "The gate is broken: the passage could not be kept."
	case entry.ReasonCamera:
		return "Cổng bị lỗi: không có hình từ camera.", "The gate is broken: the camera gives no picture."
	}
	return "Vui lòng gặp bảo vệ.", "Please see the guard."
}
