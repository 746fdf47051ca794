/* cambium pull, as a user sees it. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "core/base/hash.h"
#include "importers/model/load.h"
#include "tests/support/http_server.h"
#include "tests/support/program.h"

static char *folder;
static struct http_server server;

/* The embedded network plays the public one. */
static void setup(void)
{
    const struct cb_bytes net = cb_seedling();
    const struct cb_digest digest = cb_digest_of(net.data, net.len);
    char hex[CB_DIGEST_TEXT], text[1000];
    folder = program_folder();
    http_server_start(&server, (const char *)net.data, net.len);
    cb_digest_text(&digest, hex);
    snprintf(text, sizeof text,
             "{\"format\":1,\"sources\":{\"s\":[\"https://127.0.0.1:1/\"]},"
             "\"recipes\":{\"r\":{\"resize\":{\"height\":64,\"width\":64}}},"
             "\"models\":[{\"name\":\"drawn-1\",\"also\":[\"drawn\"],\"title\":\"Drawn shapes\","
             "\"source\":\"s\",\"path\":\"models/drawn.onnx\",\"bytes\":%zu,\"sha256\":\"%s\","
             "\"opset\":17,\"recipe\":\"r\",\"licence\":\"Apache-2.0\"}]}",
             net.len, hex);
    program_write(program_path(folder, "catalog.json"), text);
}

static void teardown(void)
{
    http_server_stop(&server);
    program_folder_remove(folder);
}

TestSuite(cli_pull, .init = setup, .fini = teardown);

static const char *in(const char *name)
{
    return program_path(folder, name);
}

Test(cli_pull, fetched_network_is_found_by_its_name)
{
    struct program_run run;
    program_photo(in("p.png"), 50, 40, 200, 30, 30);
    EXPECT_PROGRAM(0, &run, "pull", "drawn", "--catalog", in("catalog.json"), "--from", server.base,
                   "--into", in("models"));
    cr_expect(strstr(run.out, "models/drawn  fetched, "), "%s", run.out);
    cr_expect(strstr(run.out, "verified"), "%s", run.out);
    cr_expect_str_empty(run.err); /* no bar where nobody watches */
    program_free(&run);
    EXPECT_PROGRAM(0, NULL, "predict", "drawn", in("p.png"), "--models", in("models"));
    EXPECT_PROGRAM(0, &run, "models", "--models", in("models"));
    cr_expect(strstr(run.out, "drawn ") && !strstr(run.out, ".pull"), "%s", run.out);
    program_free(&run);
    EXPECT_PROGRAM(0, &run, "pull", "drawn", "--catalog", in("catalog.json"), "--from", server.base,
                   "--into", in("models"), "--json");
    cr_expect(strstr(run.out, "\"already\":true") && strstr(run.out, "\"verified\":true"), "%s",
              run.out);
    program_free(&run);
}

Test(cli_pull, failure_says_address_wanted_and_found)
{
    struct program_run run;
    server.manner = HTTP_NOT_FOUND;
    EXPECT_PROGRAM(1, &run, "pull", "drawn-1", "--catalog", in("catalog.json"), "--from",
                   server.base, "--into", in("models"));
    cr_expect(strstr(run.err, "/models/drawn.onnx: wants status 200, has 404"), "%s", run.err);
    cr_expect_str_empty(run.out);
    program_free(&run);
    EXPECT_PROGRAM(1, NULL, "predict", "drawn-1", in("p.png"), "--models", in("models"));
}

Test(cli_pull, address_needs_a_name_and_takes_a_digest)
{
    struct program_run run;
    static const char address[] = "https://127.0.0.1:1/x/drawn.onnx";
    EXPECT_PROGRAM(2, NULL, "pull", "https://127.0.0.1:1/", "--into", in("models"));
    EXPECT_PROGRAM(2, NULL, "pull", address, "--sha256", "12", "--into", in("models"));
    EXPECT_PROGRAM(1, &run, "pull", address, "--from", server.base, "--into", in("models"),
                   "--sha256", "5c688690f8bacf667d4c2074af5ad0646ca328d7ab03eccf944a65b320171bdd");
    cr_expect(strstr(run.err, "wants SHA-256 5c688690f8bacf"), "%s", run.err);
    program_free(&run);
    EXPECT_PROGRAM(0, &run, "pull", address, "--from", server.base, "--into", in("models"),
                   "--name", "mine");
    cr_expect(strstr(run.out, "models/mine  fetched") && strstr(run.out, "not verified"), "%s",
              run.out);
    cr_expect(strstr(run.err, "not verified"), "%s", run.err);
    program_free(&run);
}

Test(cli_pull, lists_the_catalogue)
{
    struct program_run run;
    EXPECT_PROGRAM(0, &run, "pull", "--list", "--catalog", in("catalog.json"));
    cr_expect(strstr(run.out, "drawn-1 ") && strstr(run.out, "Drawn shapes (drawn)"), "%s",
              run.out);
    program_free(&run);
    EXPECT_PROGRAM(0, &run, "pull", "--list", "--json");
    cr_expect(strstr(run.out, "\"name\":\"resnet50-v1-12\""), "%.300s", run.out);
    program_free(&run);
    EXPECT_PROGRAM(2, NULL, "pull");
    EXPECT_PROGRAM(1, &run, "pull", "no-such");
    cr_expect(strstr(run.err, "no-such: the catalogue has no such name"), "%s", run.err);
    program_free(&run);
}
