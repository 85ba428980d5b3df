/* The codes that people read and type. */
#include <errno.h>
#include <string.h>

#include <sodium.h>

#include "net/pairing.h"

/* 32 of them, 5 bits each. Without 0, 1, I and O, which look like each other. */
static const char ALPHABET[] = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
#define LENGTH (SL_PAIR_CODE - 1)

void sl_pair_code_draw(char shown[SL_PAIR_CODE_SHOW])
{
    size_t at = 0;
    for (int i = 0; i < LENGTH; i++) {
        if (i == LENGTH / 2)
            shown[at++] = '-';
        shown[at++] = ALPHABET[randombytes_uniform(sizeof ALPHABET - 1)];
    }
    shown[at] = '\0';
}

int sl_pair_code_read(const char *typed, char code[SL_PAIR_CODE], struct sl_error *err)
{
    size_t length = 0;
    for (const char *at = typed; *at != '\0'; at++) {
        if (strchr("- \t\r\n", *at) != NULL)
            continue;
        const char c = *at >= 'a' && *at <= 'z' ? (char)(*at - 'a' + 'A') : *at;
        if (strchr(ALPHABET, c) == NULL)
            return sl_error_set(err, -EINVAL,
                                "a code has only letters and digits, and none of 0, 1, I and O: "
                                "look at the vehicle's screen again");
        if (length == LENGTH)
            return sl_error_set(err, -EINVAL, "a code has %d letters and digits, not more", LENGTH);
        code[length++] = c;
    }
    if (length != LENGTH)
        return sl_error_set(err, -EINVAL, "a code has %d letters and digits, not %zu", LENGTH,
                            length);
    code[length] = '\0';
    return 0;
}
