/* publish_cpp.cpp - the C++17 wrapper as an application has it. Usage: publish_cpp BOOTSTRAP TOPIC COUNT; prints the ids. */
#include <cstdlib>
#include <iostream>
#include <string>
#include <tallymill/producer.hpp>

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    try {
        tally::producer wrong{{{"kafka.nope", "1"}}};
        return 3;
    } catch (const tally::error &reason) {
        if (reason.code() != TALLY_INVALID)
            return 4;
    }
    try {
        tally::producer nobody({}); /* no settings: not a null pointer */
        return 5;
    } catch (const tally::error &reason) {
        if (reason.code() != TALLY_INVALID)
            return 6;
    }
    tally::producer opened{{{"kafka.bootstrap.servers", argv[1]}, {"topics.events", argv[2]}, {"publish.timeout.ms", "1000"}}};
    tally::producer producer = std::move(opened);
    const std::string text = "session-1|doc_export|copy";
    const std::string_view all = text; /* parts of one text, without a NUL between them */
    tally::event event;
    for (int i = 0; i < std::atoi(argv[3]); i++) {
        event.begin(all.substr(10, 10)).session(all.substr(0, 9)).user(7).text(all.substr(21, 2), all.substr(21)).integer("pages", i);
        event.array("list").integer(1).text("two").map().boolean(all.substr(0, 3), true).end().end();
        event.json("more", R"({"big": 18446744073709551615})").json(R"({"alone": [null]})").header(all.substr(0, 7), all);
        tally::event copy = event;
        if (i % 2 == 1)
            event = copy;
        if (auto result = producer.publish(event); !result) {
            std::cerr << result.text() << '\n';
            return 1;
        }
        std::cout << event.id() << '\n';
    }
    tally_counts counts = TALLY_COUNTS_INIT;
    return producer.close(30000, &counts) && producer.count().accepted == 0 ? 0 : 1;
}
