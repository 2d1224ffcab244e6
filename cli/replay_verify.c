// gannet replay verify: checks a store and, where asked, saves what can be read of it.

#include <inttypes.h>
#include <jansson.h>

#include "cli/replay_verbs.h"
#include "replay/salvage.h"
#include "replay/verify.h"

static gn_status print_verify(const replay_findings *findings, const replay_verified *verified,
                              const char *to, const replay_salvaged *salvaged)
{
    gn_text out = { 0 };
    for (size_t i = 0; i < REPLAY_FINDINGS_KEPT && findings->line[i]; i++)
        gn_text_append(&out, "%s\n", findings->line[i]);
    if (findings->count > REPLAY_FINDINGS_KEPT)
        gn_text_append(&out, "... and %" PRIu64 " more\n", findings->count - REPLAY_FINDINGS_KEPT);
    if (findings->count == 0) {
        gn_text_append(&out, "sound: ");
    } else {
        gn_text_append(&out, "damaged: ");
        cli_counted(&out, findings->count, "finding");
        gn_text_append(&out, " in ");
    }
    cli_counted(&out, verified->chunks, "chunk");
    gn_text_append(&out, ", ");
    cli_counted(&out, verified->generations, "generation");
    gn_text_append(&out, "; ");
    cli_counted(&out, verified->steps, "step");
    gn_text_append(&out, " can be read\n");
    if (to) {
        gn_text_append(&out, "%s: ", to);
        cli_counted(&out, salvaged->steps, "step");
        gn_text_append(&out, " of generation %" PRIu64 "; ", salvaged->generation);
        cli_counted(&out, salvaged->episodes, "episode");
        gn_text_append(&out, ", %" PRIu64 " of them cut; ", salvaged->cut);
        cli_counted(&out, salvaged->lost, "slot");
        gn_text_append(&out, " lost\n");
    }
    return cli_print(&out);
}

static gn_status print_verify_json(const replay_findings *findings, const replay_verified *verified,
                                   const char *to, const replay_salvaged *salvaged)
{
    json_t *lines = json_array();
    for (size_t i = 0; i < REPLAY_FINDINGS_KEPT && findings->line[i]; i++)
        json_array_append_new(lines, json_string(findings->line[i]));
    json_t *root =
        json_pack("{s:b, s:I, s:o, s:I, s:I, s:I, s:I}", "sound", findings->count == 0,
                  "finding_count", (json_int_t)findings->count, "findings", lines, "chunks",
                  (json_int_t)verified->chunks, "generations", (json_int_t)verified->generations,
                  "slots", (json_int_t)verified->slots, "steps", (json_int_t)verified->steps);
    if (root && to)
        json_object_set_new(
            root, "salvaged",
            json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "folder", to, "generation",
                      (json_int_t)salvaged->generation, "steps", (json_int_t)salvaged->steps,
                      "episodes", (json_int_t)salvaged->episodes, "cut", (json_int_t)salvaged->cut,
                      "lost", (json_int_t)salvaged->lost));
    return cli_print_json(root);
}

gn_status cli_replay_verify(cli_request *request)
{
    char folder[GN_PATH_SIZE];
    replay_findings findings = { 0 };
    replay_verified verified;
    replay_salvaged salvaged = { 0 };
    gn_text reason = { 0 }; // of a failed salvage: what was found is printed all the same
    const char *to = cli_verb_value(request, "--salvage");
    GN_TRY(cli_replay_find(request, folder, NULL));
    if (to && gn_path_exists(to))
        return gn_fail(GN_ERR_EXISTS, "--salvage %s: exists; must be a new folder", to);
    gn_status status = replay_verify(folder, &findings, &verified), saved = GN_OK;
    if (status == GN_OK && to) {
        saved = replay_salvage(folder, to, &salvaged);
        if (saved != GN_OK)
            gn_text_append(&reason, "--salvage %s: %s", to, gn_error_text());
        to = saved == GN_OK ? to : NULL;
    }
    if (status == GN_OK)
        status = cli_verb_value(request, "--json")
                     ? print_verify_json(&findings, &verified, to, &salvaged)
                     : print_verify(&findings, &verified, to, &salvaged);
    if (status == GN_OK && saved != GN_OK)
        status = gn_fail(saved, "%s", gn_text_data(&reason));
    request->unsound = findings.count > 0;
    gn_text_free(&reason);
    replay_findings_free(&findings);
    return status;
}
