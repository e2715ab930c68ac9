// Reads by zxing-cpp, with its own defaults but for the kind of code.
#define ZX_USE_UTF8
#include "peer.h"
#include <ZXing/ReadBarcode.h>

int main() {
	ZXing::DecodeHints hints;
	hints.setFormats(ZXing::BarcodeFormat::QRCode);
	return serve([&](const Picture &p) {
		std::vector<std::string> texts;
		for (auto &r : ZXing::ReadBarcodes({p.pixels.data(), p.width, p.height, ZXing::ImageFormat::Lum}, hints))
			if (r.isValid())
				texts.push_back(r.text());
		return texts;
	});
}
