#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "server/router.h"

static struct cb_arena arena;

static void start(void)
{
    cr_assert(eq(int, cb_arena_init(&arena, 1 << 20).code, CB_OK));
}

static void stop(void)
{
    cb_arena_deinit(&arena);
}

TestSuite(server_router, .init = start, .fini = stop);

static struct cb_request request(const char *method, const char *path)
{
    return (struct cb_request){ .arena = &arena, .method = method, .path = path };
}

Test(server_router, finds_rows_and_the_parts_of_their_paths)
{
    char allow[CB_ALLOW_TEXT];
    struct cb_request req = request("GET", "/models/resnet50/model.onnx");
    const struct cb_route *route = cb_router_find(&req, allow);
    cr_assert_not_null(route);
    cr_expect(eq(str, (char *)route->path, "/models/{}/model.onnx"));
    cr_expect(eq(str, (char *)req.part[0], "resnet50"));
    req = request("HEAD", "/livez");
    route = cb_router_find(&req, allow);
    cr_assert_not_null(route);
    cr_expect(eq(str, (char *)route->method, "GET"));
}

Test(server_router, says_which_methods_a_path_has)
{
    char allow[CB_ALLOW_TEXT];
    struct cb_request req = request("PATCH", "/models/x");
    cr_expect(cb_router_find(&req, allow) == NULL);
    cr_expect(eq(str, (char *)allow, "GET, HEAD, PUT, DELETE, OPTIONS"));
    static const char *const unknown[] = { "/nothing", "/models/", "/models/a/b",
                                           "/models//model.onnx", "/livez/" };
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        req = request("GET", unknown[i]);
        cr_expect(cb_router_find(&req, allow) == NULL, "%s", unknown[i]);
        cr_expect(eq(str, (char *)allow, ""));
    }
}

Test(server_router, has_a_complete_row_for_every_route_and_a_code_for_every_status)
{
    const struct cb_route *route;
    for (size_t i = 0; (route = cb_router_row(i)); i++) {
        cr_expect(route->handler != NULL, "row %zu", i);
        cr_expect(route->path[0] == '/' && route->summary, "row %zu", i);
        cr_expect(eq(sz, cb_router_index(route), i));
    }
    for (int code = CB_OK + 1; code < CB_CODE_COUNT; code++)
        cr_expect(ge(int, cb_router_code((enum cb_code)code), 400), "status %d", code);
}
