// The table of environments: every row is whole and can be found.

#include <string.h>

#include "envs/env.h"
#include "tests/support/check.h"

static void every_row_is_whole_and_found_by_its_name(void **state)
{
    (void)state;
    size_t rows = 0;
    for (const env_class *const *row = env_classes; *row; row++, rows++) {
        const env_class *class = *row, *found;
        expect_ok(env_class_find(&found, class->name));
        assert_ptr_equal(found, class);
        assert_true(strlen(class->summary) > 0 && class->config_size > 0);
        assert_true(class->create && class->destroy && class->spec && class->reset);
        for (const env_field *field = class->fields; field->name; field++) // without a hole
            assert_int_equal(field->offset, (size_t)(field - class->fields) * sizeof(float));
        assert_true(class->step && class->record && class->decode && class->save && class->load);
    }
    assert_true(rows >= 2);
}

static void an_unknown_name_lists_what_there_is(void **state)
{
    (void)state;
    const env_class *found = NULL;
    expect_fails(GN_ERR_CONFIG,
                 "env: no environment is called 'pong' (there are trading, cartpole, acrobot, "
                 "mountain-car, catch, chain, ar1)",
                 env_class_find(&found, "pong"));
    assert_null(found);
}

TEST_MAIN(every_row_is_whole_and_found_by_its_name, an_unknown_name_lists_what_there_is)
