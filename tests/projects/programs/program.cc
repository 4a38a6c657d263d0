// What a C++ program asks of libstdc++ and of the C library below it: prints `ok` when all holds.

#include <atomic>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <future>
#include <iostream>
#include <map>
#include <mutex>
#include <random>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#define CHECK(what)                                            \
  if (!(what)) {                                               \
    std::cout << "line " << __LINE__ << ": " #what << '\n';    \
    return 1;                                                  \
  }

static std::atomic<int> gone;

struct Counted {
  int number = 0;
  ~Counted() { gone += number; }
};
thread_local Counted counted;

struct Global {
  std::string text = "constructed";
} global;

static void deep(int depth) {
  std::vector<int> kept(10, depth);
  if (depth == 0) throw std::out_of_range("far");
  deep(depth - 1);
}

int main(int, char **argv) {
  namespace fs = std::filesystem;
  CHECK(global.text == "constructed");

  std::vector<std::thread> threads;
  std::atomic<int> caught{0};
  for (int i = 0; i < 4; i++)
    threads.emplace_back([&caught] {
      counted.number = 1;
      try { deep(5); } catch (const std::logic_error &) { caught++; }
    });
  for (auto &thread : threads) thread.join();
  CHECK(caught == 4 && gone == 4);

  auto later = std::async(std::launch::async, []() -> int { throw std::runtime_error("later"); });
  try { later.get(); return 1; } catch (const std::runtime_error &error) { CHECK(error.what() == std::string("later")); }
  std::exception_ptr kept = std::make_exception_ptr(42);
  try { std::rethrow_exception(kept); } catch (int number) { CHECK(number == 42); }
  try { fs::file_size("/no/such/file"); return 1; }
  catch (const fs::filesystem_error &error) { CHECK(error.code().value() == 2); }

  std::mutex mutex;
  std::condition_variable condition;
  std::unique_lock lock(mutex);
  auto start = std::chrono::steady_clock::now();
  CHECK(condition.wait_for(lock, std::chrono::milliseconds(5)) == std::cv_status::timeout);
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
  CHECK(std::chrono::steady_clock::now() - start >= std::chrono::milliseconds(7));
  auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  CHECK(now > 1600000000);

  std::random_device device;
  CHECK(!(device() == device() && device() == device()));

  fs::path file = fs::temp_directory_path() / ("xtool-floor-" + std::to_string(device()));
  std::ofstream(file) << "some text";
  auto age = fs::file_time_type::clock::now() - fs::last_write_time(file);
  CHECK(fs::file_size(file) == 9 && age < std::chrono::hours(1) && age > -std::chrono::hours(1));
  fs::last_write_time(file, fs::file_time_type::clock::now() - std::chrono::hours(100));
  CHECK(fs::file_time_type::clock::now() - fs::last_write_time(file) > std::chrono::hours(99));
  fs::copy_file(file, file.string() + "2");
  CHECK(fs::remove(file) && fs::remove(file.string() + "2") && !fs::exists(file));
  CHECK(fs::is_regular_file(argv[0]) && fs::space("/tmp").capacity > 0);

  double number = 0;
  std::string text = "2.5e3";
  std::from_chars(text.data(), text.data() + text.size(), number);
  char digits[40];
  auto end = std::to_chars(digits, digits + 40, number / 8).ptr;
  CHECK(number == 2500 && std::string(digits, end) == "312.5");
  std::ostringstream stream;
  stream << 1.25L << ' ' << std::hex << 255 << ' ' << true;
  CHECK(stream.str() == "1.25 ff 1");
  CHECK(std::regex_match("glibc-2.17", std::regex("[a-z]+-[0-9.]+")));
  CHECK(std::stold("0.5") == 0.5L && std::stoul("0x10", nullptr, 0) == 16);
  std::cout << "ok" << std::endl;
}
