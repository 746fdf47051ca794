#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/file.h"
#include "server/config.h"

Test(server_config, has_defaults_for_everything)
{
    struct cb_config config;
    setenv("XDG_DATA_HOME", "/somewhere", 1);
    cr_assert(eq(int, cb_config_load(NULL, 0, NULL, &config).code, CB_OK));
    cr_expect(eq(str, (char *)config.host, "127.0.0.1"));
    cr_expect(eq(i64, config.port, 8080));
    cr_expect(eq(i64, config.photo_bytes, 64 << 20));
    cr_expect(eq(str, (char *)config.data, "/somewhere/cambium"));
    cb_config_deinit(&config);
}

Test(server_config, prefers_the_command_line_to_the_environment_to_the_file)
{
    static const char text[] = "# limits\nport = 1\n queue = 3 \n\nworkers=5\nmodel = a=/x\n";
    const struct cb_config_given given[] = { { "port", "7" }, { "model", "b=/y" } };
    char path[] = "/tmp/cambium-config-XXXXXX";
    struct cb_config config;
    struct cb_status st;
    close(mkstemp(path));
    cr_assert(eq(int, cb_file_write(path, text, sizeof text - 1).code, CB_OK));
    setenv("CAMBIUM_PORT", "8", 1);
    setenv("CAMBIUM_QUEUE", "9", 1);
    st = cb_config_load(given, 2, path, &config);
    unlink(path);
    cr_assert(eq(int, st.code, CB_OK), "%s", st.msg);
    cr_expect(eq(i64, config.port, 7));
    cr_expect(eq(i64, config.queue, 9));
    cr_expect(eq(i64, config.workers, 5));
    cr_assert(eq(int, config.n_models, 2));
    cr_expect(eq(str, (char *)config.model[0].name, "b"));
    cr_expect(eq(str, (char *)config.model[1].path, "/x"));
    cb_config_deinit(&config);
}

Test(server_config, names_what_is_wrong)
{
    static const struct {
        const char *name, *value, *message;
    } bad[] = {
        { "port", "70000", "port wants a number from 0 to 65535, got '70000'" },
        { "port", "1K", "port wants a number from 0 to 65535, got '1K'" },
        { "photo-bytes", "9999999999G",
          "photo-bytes wants a number from 1 to 1073741824, got '9999999999G'" },
        { "photo-bytes", "x", "photo-bytes wants a number from 1 to 1073741824, got 'x'" },
        { "nothing", "1", "there is no setting 'nothing'" },
        { "model", "x=", "--model wants NAME=PATH, got 'x='" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const struct cb_config_given given = { bad[i].name, bad[i].value };
        struct cb_config config;
        struct cb_status st = cb_config_load(&given, 1, NULL, &config);
        cr_expect(eq(int, st.code, CB_ERR_INPUT));
        cr_expect(eq(str, st.msg, (char *)bad[i].message));
    }
}
