/* <tallymill/producer.hpp> - <tallymill/producer.h> for C++17: owners that close and free, std::string_view instead of NULs.
 *
 *     tally::producer producer{{{"kafka.bootstrap.servers", "127.0.0.1:9092"}}};
 *     tally::event event;
 *     event.begin("doc_export").session(id).text("action", "copy").integer("pages", 3);
 *     if (auto result = producer.publish(event); !result)
 *         std::cerr << result.text() << '\n';
 *
 * Header only, and nothing but inline calls of the C functions: what they promise (threads, errors, hooks, fork) holds here. Only the
 * constructors throw: tally::error (a std::runtime_error with the code), and std::bad_alloc.
 */
#ifndef TALLYMILL_PRODUCER_HPP
#define TALLYMILL_PRODUCER_HPP

#include <array>
#include <chrono>
#include <cstdint>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tallymill/producer.h>

namespace tally {

/* What a call answered: true when it was TALLY_OK. */
class result {
  public:
    explicit operator bool() const noexcept { return code_ == TALLY_OK; }
    tally_code code() const noexcept { return code_; }
    /* One line; empty when all is well. */
    const char *text() const noexcept { return code_ == TALLY_OK ? "" : error_.text; }

  private:
    friend class producer;
    tally_code code_ = TALLY_OK;
    tally_error error_ = TALLY_ERROR_INIT;
};

class error : public std::runtime_error {
  public:
    explicit error(const tally_error &reason) : std::runtime_error(reason.text), code_(reason.code) {}
    tally_code code() const noexcept { return code_; }

  private:
    tally_code code_;
};

/* An event that is built, published and begun anew; for one thread. */
class event {
  public:
    event() : event_(tally_event_new())
    {
        if (event_ == nullptr)
            throw std::bad_alloc();
    }
    ~event() { tally_event_free(event_); }
    event(const event &other) : event() { tally_event_copy(event_, other.event_); }
    event(event &&other) noexcept : event_(std::exchange(other.event_, nullptr)) {}
    event &operator=(event other) noexcept
    {
        std::swap(event_, other.event_);
        return *this;
    }

    event &begin(std::string_view name) noexcept { return tally_event_begin_n(event_, name.data(), name.size()), *this; }
    event &category(std::string_view text) noexcept { return tally_event_category_n(event_, text.data(), text.size()), *this; }
    event &session(std::string_view id) noexcept { return tally_event_session_n(event_, id.data(), id.size()), *this; }
    event &user(std::int64_t id) noexcept { return tally_event_user(event_, id), *this; }
    event &internal(bool is_internal = true) noexcept { return tally_event_internal(event_, is_internal), *this; }
    event &created(std::chrono::system_clock::time_point when) noexcept { return tally_event_created(event_, us(when)), *this; }
    event &tag(std::uint64_t tag) noexcept { return tally_event_tag(event_, tag), *this; }
    event &header(std::string_view name, std::string_view value) noexcept
    {
        return tally_event_header_n(event_, name.data(), name.size(), value.data(), value.size()), *this;
    }

    /* Attributes of event_data, or of the map that is open. */
    event &text(std::string_view key, std::string_view value) noexcept
    {
        return put(key), tally_event_text_n(event_, nullptr, value.data(), value.size()), *this;
    }
    event &integer(std::string_view key, std::int64_t value) noexcept { return put(key), tally_event_int(event_, nullptr, value), *this; }
    event &number(std::string_view key, double value) noexcept { return put(key), tally_event_number(event_, nullptr, value), *this; }
    event &boolean(std::string_view key, bool value) noexcept { return put(key), tally_event_bool(event_, nullptr, value), *this; }
    event &null(std::string_view key) noexcept { return put(key), tally_event_null(event_, nullptr), *this; }
    event &bytes(std::string_view key, const void *data, std::size_t size) noexcept
    {
        return put(key), tally_event_bytes(event_, nullptr, data, size), *this;
    }
    event &time(std::string_view key, std::chrono::system_clock::time_point when) noexcept
    {
        return put(key), tally_event_time(event_, nullptr, us(when)), *this;
    }
    event &map(std::string_view key) noexcept { return put(key), tally_event_map(event_, nullptr), *this; }
    event &array(std::string_view key) noexcept { return put(key), tally_event_array(event_, nullptr), *this; }
    event &end() noexcept { return tally_event_end(event_), *this; }
    /* A JSON text: under a key, or the entries of an object. */
    event &json(std::string_view key, std::string_view text) noexcept
    {
        return put(key), tally_event_json(event_, nullptr, text.data(), text.size()), *this;
    }
    event &json(std::string_view text) noexcept { return tally_event_json(event_, nullptr, text.data(), text.size()), *this; }
    /* The entries of one msgpack map. */
    event &data(const void *bytes, std::size_t size) noexcept { return tally_event_data(event_, bytes, size), *this; }

    /* The same inside an array. */
    event &text(std::string_view value) noexcept { return tally_event_text_n(event_, nullptr, value.data(), value.size()), *this; }
    event &integer(std::int64_t value) noexcept { return tally_event_int(event_, nullptr, value), *this; }
    event &number(double value) noexcept { return tally_event_number(event_, nullptr, value), *this; }
    event &boolean(bool value) noexcept { return tally_event_bool(event_, nullptr, value), *this; }
    event &map() noexcept { return tally_event_map(event_, nullptr), *this; }
    event &array() noexcept { return tally_event_array(event_, nullptr), *this; }

    std::string id()
    {
        std::array<char, TALLY_ID_TEXT_BYTES> text{};
        return tally_event_id_text(event_, text.data());
    }
    tally_event *get() const noexcept { return event_; }

  private:
    static std::int64_t us(std::chrono::system_clock::time_point when) noexcept
    {
        return std::chrono::duration_cast<std::chrono::microseconds>(when.time_since_epoch()).count();
    }
    void put(std::string_view key) noexcept { tally_event_key_n(event_, key.data() == nullptr ? "" : key.data(), key.size()); }

    tally_event *event_;
};

using settings = std::vector<std::pair<std::string, std::string>>;

/* Closed when it goes out of scope, after at most close_ms (10 s) of waiting for what is on its way. Any number of threads. */
class producer {
  public:
    explicit producer(const settings &given, const tally_hooks *hooks = nullptr)
    {
        std::vector<tally_setting> list;
        list.reserve(given.size() + 1);
        for (const auto &[key, value] : given)
            list.push_back({key.c_str(), value.c_str()});
        list.push_back({nullptr, nullptr});
        tally_error reason = TALLY_ERROR_INIT;
        producer_ = tally_open(list.data(), hooks, &reason);
        if (producer_ == nullptr)
            throw error(reason);
    }
    /* With the settings of an INI file. */
    static producer from_file(const std::string &path, const tally_hooks *hooks = nullptr)
    {
        tally_error reason = TALLY_ERROR_INIT;
        tally_producer *opened = tally_open_file(path.c_str(), nullptr, hooks, &reason);
        if (opened == nullptr)
            throw error(reason);
        return producer(taken(opened));
    }
    ~producer() { tally_close(producer_, close_ms, nullptr); }
    producer(const producer &) = delete;
    producer &operator=(const producer &) = delete;
    producer(producer &&other) noexcept : close_ms(other.close_ms), producer_(std::exchange(other.producer_, nullptr)) {}
    producer &operator=(producer &&other) noexcept
    {
        std::swap(producer_, other.producer_);
        std::swap(close_ms, other.close_ms);
        return *this;
    }

    result publish(event &made) noexcept
    {
        result answer;
        answer.code_ = tally_publish(producer_, made.get(), &answer.error_);
        return answer;
    }
    /* A whole event as msgpack; an empty key: its session, else its id. */
    result publish(std::string_view key, std::string_view value, std::uint64_t tag = 0) noexcept
    {
        result answer;
        answer.code_ = tally_publish_bytes(producer_, key.data(), key.size(), value.data(), value.size(), tag, &answer.error_);
        return answer;
    }
    result check(int timeout_ms, int *topic_partitions = nullptr) noexcept
    {
        result answer;
        answer.code_ = tally_check(producer_, timeout_ms, topic_partitions, &answer.error_);
        return answer;
    }
    /* With hooks.is_polled. */
    int poll() noexcept { return tally_poll(producer_); }
    int poll_fd() const noexcept { return tally_poll_fd(producer_); }
    bool flush(int timeout_ms) noexcept { return tally_flush(producer_, timeout_ms); }
    /* True: everything was acknowledged. */
    bool close(int timeout_ms, tally_counts *counts = nullptr) noexcept
    {
        return tally_close(std::exchange(producer_, nullptr), timeout_ms, counts);
    }
    tally_counts count() const noexcept
    {
        tally_counts counts = TALLY_COUNTS_INIT;
        tally_count(producer_, &counts);
        return counts;
    }
    tally_producer *get() const noexcept { return producer_; }

    int close_ms = 10000;

  private:
    struct taken { /* a type that {} makes none of: producer({}) has no settings, and is no null pointer */
        explicit taken(tally_producer *from) noexcept : opened(from) {}
        tally_producer *opened;
    };
    explicit producer(taken from) noexcept : producer_(from.opened) {}

    tally_producer *producer_ = nullptr;
};

} // namespace tally

#endif
