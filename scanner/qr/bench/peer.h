// What the peers have in common: each line of standard input is the path of a PGM file; the answer is the microseconds of CPU
// that reading it took, and the texts of its codes in hex, parted by tabs.
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <string>
#include <vector>

struct Picture {
	int width = 0, height = 0;
	std::vector<uint8_t> pixels;
};

inline Picture load(const std::string &path) {
	Picture p;
	FILE *f = fopen(path.c_str(), "rb");
	if (!f)
		return p;
	if (fscanf(f, "P5\n%d %d\n255", &p.width, &p.height) == 2 && fgetc(f) == '\n') {
		p.pixels.resize(size_t(p.width) * p.height);
		if (fread(p.pixels.data(), 1, p.pixels.size(), f) != p.pixels.size())
			p = Picture();
	}
	fclose(f);
	return p;
}

template <class Read> int serve(Read read) {
	for (std::string path; std::getline(std::cin, path);) {
		Picture p = load(path);
		timespec a, b;
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
		std::vector<std::string> texts = p.pixels.empty() ? std::vector<std::string>() : read(p);
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
		printf("%.1f", (b.tv_sec - a.tv_sec) * 1e6 + (b.tv_nsec - a.tv_nsec) / 1e3);
		for (auto &t : texts) {
			putchar('\t');
			for (unsigned char c : t)
				printf("%02x", c);
		}
		putchar('\n');
		fflush(stdout);
	}
	return 0;
}
