// gannet replay verify: checks a store, compares it with the checkpoints of its run and, where
// asked, saves what can be read of it.

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "base/compress.h"
#include "base/mem.h"
#include "cli/replay_verbs.h"
#include "replay/salvage.h"
#include "replay/verify.h"
#include "rl/snapshot.h"

// --- the checkpoints of the run

// Whether the store is of the same run. A checkpoint that cannot be read says nothing of the store:
// it was rotated away meanwhile, or is damaged, which gannet resume tells.
static bool compare_checkpoint(const replay_view *view, const char *checkpoints, uint64_t step,
                               replay_findings *misfits)
{
    rl_snapshot_info info;
    const void *state;
    size_t size;
    if (rl_snapshot_read_info(&info, checkpoints, step) != GN_OK)
        return true;
    if (strcmp(info.run, view->owner) != 0) {
        replay_findings_add(misfits, "the store belongs to run %s, the checkpoints to run %s",
                            view->owner, info.run);
        return false;
    }
    const replay_value *value = replay_value_find(view->generation, view->generations, step);
    if (!value)
        replay_findings_add(misfits, "checkpoint %" PRIu64 ": the store has no generation %" PRIu64,
                            step, step);
    else if (replay_value_read(value, &state, &size) == GN_OK &&
             gn_checksum(state, size) != info.replay_checksum)
        replay_findings_add(misfits,
                            "checkpoint %" PRIu64 ": was written with another generation %" PRIu64,
                            step, step);
    return true;
}

// A sound store may still be another's, or an older copy. The run may be training: each checkpoint
// that is there before the store is opened and afterwards had its generation all the while.
static gn_status compare_run(const char *run, const char *store, replay_findings *misfits)
{
    char checkpoints[GN_PATH_SIZE];
    uint64_t *step = NULL;
    size_t count = 0;
    replay_view *view = NULL;
    replay_findings damage = { 0 }; // was told already
    GN_TRY(gn_path_join(checkpoints, run, "checkpoints"));
    GN_TRY(rl_snapshot_list(&step, &count, checkpoints));
    gn_status status = count > 0 ? replay_view_open(&view, store, &damage) : GN_OK;
    bool same = view != NULL;
    for (size_t i = 0; same && i < count; i++)
        same = compare_checkpoint(view, checkpoints, step[i], misfits);
    replay_view_close(&view);
    replay_findings_free(&damage);
    gn_free(&step);
    return status == GN_ERR_CORRUPT ? GN_OK : status;
}

// --- output

static void add_lines(gn_text *out, const replay_findings *findings)
{
    for (size_t i = 0; i < REPLAY_FINDINGS_KEPT && findings->line[i]; i++)
        gn_text_append(out, "%s\n", findings->line[i]);
    if (findings->count > REPLAY_FINDINGS_KEPT)
        gn_text_append(out, "... and %" PRIu64 " more\n", findings->count - REPLAY_FINDINGS_KEPT);
}

static gn_status print_verify(const replay_findings *findings, const replay_findings *misfits,
                              const replay_verified *verified, const char *to,
                              const replay_salvaged *salvaged)
{
    gn_text out = { 0 };
    add_lines(&out, findings);
    add_lines(&out, misfits);
    if (findings->count == 0) {
        gn_text_append(&out, "sound%s: ",
                       misfits->count ? ", but not what the checkpoints of the run need" : "");
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

static json_t *lines_json(const replay_findings *findings)
{
    json_t *lines = json_array();
    for (size_t i = 0; i < REPLAY_FINDINGS_KEPT && findings->line[i]; i++)
        json_array_append_new(lines, json_string(findings->line[i]));
    return lines;
}

static gn_status print_verify_json(const replay_findings *findings, const replay_findings *misfits,
                                   const replay_verified *verified, const char *to,
                                   const replay_salvaged *salvaged)
{
    json_t *root =
        json_pack("{s:b, s:I, s:o, s:b, s:o, s:I, s:I, s:I, s:I}", "sound", findings->count == 0,
                  "finding_count", (json_int_t)findings->count, "findings", lines_json(findings),
                  "fits_checkpoints", misfits->count == 0, "misfits", lines_json(misfits), "chunks",
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
    replay_findings findings = { 0 }, misfits = { 0 };
    replay_verified verified;
    replay_salvaged salvaged = { 0 };
    gn_text reason = { 0 }; // of a failed salvage: what was found is printed all the same
    const char *to = cli_verb_value(request, "--salvage");
    GN_TRY(cli_replay_find(request, folder, NULL));
    if (to && gn_path_exists(to))
        return gn_fail(GN_ERR_EXISTS, "--salvage %s: exists; must be a new folder", to);
    gn_status status = replay_verify(folder, &findings, &verified), saved = GN_OK;
    const char *path = request->line.positional[0];
    if (status == GN_OK && strcmp(path, folder) != 0) // path is the run's
        status = compare_run(path, folder, &misfits);
    if (status == GN_OK && to) {
        saved = replay_salvage(folder, to, &salvaged);
        if (saved != GN_OK)
            gn_text_append(&reason, "--salvage %s: %s", to, gn_error_text());
        to = saved == GN_OK ? to : NULL;
    }
    if (status == GN_OK)
        status = cli_verb_value(request, "--json")
                     ? print_verify_json(&findings, &misfits, &verified, to, &salvaged)
                     : print_verify(&findings, &misfits, &verified, to, &salvaged);
    if (status == GN_OK && saved != GN_OK)
        status = gn_fail(saved, "%s", gn_text_data(&reason));
    request->unsound = findings.count + misfits.count > 0;
    gn_text_free(&reason);
    replay_findings_free(&findings);
    replay_findings_free(&misfits);
    return status;
}
