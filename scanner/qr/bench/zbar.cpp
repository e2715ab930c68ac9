// Reads by ZBar, with its own defaults but for the kind of code.
#include "peer.h"
#include <zbar.h>

int main() {
	zbar::ImageScanner scanner;
	scanner.set_config(zbar::ZBAR_NONE, zbar::ZBAR_CFG_ENABLE, 0);
	scanner.set_config(zbar::ZBAR_QRCODE, zbar::ZBAR_CFG_ENABLE, 1);
	return serve([&](const Picture &p) {
		zbar::Image image(p.width, p.height, "Y800", p.pixels.data(), p.pixels.size());
		scanner.scan(image);
		std::vector<std::string> texts;
		for (auto s = image.symbol_begin(); s != image.symbol_end(); ++s)
			texts.push_back(s->get_data());
		image.set_data(nullptr, 0);
		return texts;
	});
}
