/* Holds skylane/bus.h, as installed, to the numbers in abi_table.def, which
 * says what to do when this fails. With --print: what they are now, for
 * tests/binding/python_test.py. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <skylane/bus.h>

struct row {
    const char *name;
    uint64_t expected[2];
    uint64_t found[2];
};

#define STRUCT(type, size) {"struct " #type, {size, 0}, {sizeof(struct type), 0}},
#define FIELD(type, member, offset, size)                                                          \
    {#type "." #member,                                                                            \
     {offset, size},                                                                               \
     {offsetof(struct type, member), sizeof(((struct type *)NULL)->member)}},
#define VALUE(name, value) {#name, {value, 0}, {(uint64_t)name, 0}},

static const struct row ROWS[] = {
#include "abi_table.def"
};

int main(int argc, char **argv)
{
    if (argc == 1 && sizeof(void *) != 8) {
        puts("skipped: the numbers are those of machines of 64 bits");
        return 77;
    }
    const int print = argc == 2 && strcmp(argv[1], "--print") == 0;
    int wrong = 0;
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        const struct row *row = &ROWS[i];
        if (print) {
            printf("%s %" PRIu64 " %" PRIu64 "\n", row->name, row->found[0], row->found[1]);
        } else if (memcmp(row->expected, row->found, sizeof row->found) != 0) {
            printf("%s: (%" PRIu64 ", %" PRIu64 ") was released, (%" PRIu64 ", %" PRIu64
                   ") is here; tests/binding/abi_table.def says what to do\n",
                   row->name, row->expected[0], row->expected[1], row->found[0], row->found[1]);
            wrong++;
        }
    }
    return wrong == 0 ? 0 : 1;
}
