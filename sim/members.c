/* sim/members.c: operators: they ask nodes for changes of the members and for transfers, of the
 * leader mostly, several at once now and then, and sometimes of the wrong node or for nonsense.
 *
 * What they may not do is what no cluster could survive: ask for a change while so many disks were
 * just wiped that the rest is no quorum of the result. As long as a member is lost nothing is forced:
 * the leader's own judgement of health must do.
 */
#include "base/assert.h"
#include "sim/sim_internal.h"

#include <inttypes.h>
#include <string.h>

#define ADMIN_TAG (UINT64_C(1) << 48) /* calls of clients are numbered from 1 */

enum { EDITS_MAX = 4, VOTERS_WANTED = 3, VOTERS_MOST = 7 };

static uint32_t bit(raft_node node)
{
    return 1U << (node - 1);
}

/* The newest leader three times out of four; NULL: nobody is there to ask. */
static struct sim_node *draw_asked(struct sim *s, struct prng *p)
{
    const uint32_t leader = sim_leader(s);
    const bool at_leader = prng_below(p, 4) != 0;
    const uint32_t any = (uint32_t)prng_below(p, s->node_count);
    struct sim_node *n = &s->node[at_leader && leader != UINT32_MAX ? leader : any];

    return n->replica != NULL && n->admin.tag == 0 ? n : NULL;
}

bool members_ask(struct sim *s, struct sim_node *n, const struct admin_request *wanted)
{
    struct sim_admin *admin = &n->admin;
    const uint64_t tag = ADMIN_TAG | (s->admin_count + 1);
    const struct request request = {
        .tag = tag,
        .bytes = (const uint8_t *)&admin->request,
        .length = sizeof admin->request,
        .kind = REQUEST_ADMIN,
    };

    admin->request = *wanted;
    if (spsc_push(n->door->to_raft, &request, sizeof request, 1) == 0)
        return false;
    admin->tag = tag;
    admin->term = n->seen.term; /* a paused leader may be asked when its successor leads already */
    admin->commit = check_log_last(s->log);
    admin->leaves = false;
    s->admin_count++;
    s->admin_open++;
    n->busy = true;
    return true;
}

void members_crash(struct sim *s, struct sim_node *n)
{
    if (n->admin.tag == 0)
        return;
    n->admin.tag = 0;
    s->admin_open--;
}

/* ---- changes --------------------------------------------------------------------------------- */

/* A node that is no member: one that runs, one that was removed and is started again, or one that
 * never was. UINT32_MAX: none is left. */
static uint32_t draw_outsider(struct sim *s, struct prng *p, uint32_t members)
{
    const uint32_t from = (uint32_t)prng_below(p, s->node_count);

    for (uint32_t i = 0; i < s->node_count; i++) {
        struct sim_node *n = &s->node[(from + i) % s->node_count];
        if ((members >> n->number & 1) != 0 || sim_is_lost(s, n) || n->who != SIM_ITSELF)
            continue;
        if (n->replica == NULL && n->down_until_ns == UINT64_MAX)
            n->down_until_ns = s->now_ns;
        return n->number;
    }
    if (s->node_count == s->slot_count)
        return UINT32_MAX;
    struct sim_node *n = &s->node[s->node_count++];
    cluster_init(s, n);
    n->down_until_ns = s->now_ns + prng_below(p, s->plan.options.heartbeat_ns);
    sim_happen(s, SIM_JOIN);
    return n->number;
}

static raft_node draw_of(struct prng *p, uint32_t set)
{
    uint32_t skip = set == 0 ? 0 : (uint32_t)prng_below(p, (uint64_t)__builtin_popcount(set));

    for (raft_node node = 1; node <= SIM_NODES_MAX; node++)
        if ((set & bit(node)) != 0 && skip-- == 0)
            return node;
    return 0;
}

/* What operators believe, and go on from edit to edit. */
struct belief {
    uint32_t voters, learners;
    uint32_t touched; /* by this request: one edit a node */
};

static struct belief believe(const struct raft_config *config)
{
    struct belief b = {0};

    for (uint32_t i = 0; i < config->count; i++) {
        if (config->member[i].voter)
            b.voters |= bit(config->member[i].node);
        else if (!config->member[i].leaves)
            b.learners |= bit(config->member[i].node);
    }
    return b;
}

static bool draw_add(struct sim *s, struct prng *p, struct belief *b, struct admin_edit *edit)
{
    const uint32_t place = draw_outsider(s, p, b->voters | b->learners | b->touched);
    const uint32_t lost = s->lost & b->voters;

    if (place == UINT32_MAX)
        return false;
    *edit = (struct admin_edit){
        .kind = ADMIN_ADD,
        .node = (uint16_t)(place + 1),
        .promote = prng_below(p, 4) != 0,
        .priority = s->plan.priorities ? (uint8_t)prng_below(p, PLAN_PRIORITY_MAX + 1) : 0,
    };
    const bool full = __builtin_popcount(b->voters) >= VOTERS_MOST;
    if (edit->promote && (lost != 0 || full || prng_below(p, 3) == 0))
        edit->replaces = draw_of(p, lost != 0 ? lost : b->voters & ~b->touched);
    b->learners |= bit(edit->node);
    return true;
}

/* Rather more voters than fewer, so that runs do not end with one. */
static bool draw_less(struct sim *s, struct prng *p, struct belief *b, struct admin_edit *edit)
{
    const uint32_t lost = s->lost & (b->voters | b->learners) & ~b->touched;
    const bool few = __builtin_popcount(b->voters) <= VOTERS_WANTED && prng_below(p, 6) != 0;
    const uint32_t from = lost != 0 ? lost : few ? b->learners : b->voters | b->learners;

    edit->node = draw_of(p, from & ~b->touched);
    if (edit->node == 0 || (b->voters & ~bit(edit->node)) == 0)
        return false;
    edit->kind = ADMIN_REMOVE;
    if ((b->voters & bit(edit->node)) != 0 && lost == 0 && prng_below(p, 3) == 0)
        edit->kind = ADMIN_DEMOTE;
    b->voters &= ~bit(edit->node);
    b->learners &= ~bit(edit->node);
    return true;
}

static bool draw_promote(struct prng *p, struct belief *b, struct admin_edit *edit)
{
    edit->node = draw_of(p, b->learners & ~b->touched);
    if (edit->node == 0 || __builtin_popcount(b->voters) >= VOTERS_MOST)
        return false;
    edit->kind = ADMIN_PROMOTE;
    b->voters |= bit(edit->node);
    b->learners &= ~bit(edit->node);
    return true;
}

static bool draw_priority(struct prng *p, struct belief *b, struct admin_edit *edit)
{
    edit->node = draw_of(p, (b->voters | b->learners) & ~b->touched);
    edit->kind = ADMIN_PRIORITY;
    edit->priority = (uint8_t)prng_below(p, PLAN_PRIORITY_MAX + 1);
    return edit->node != 0;
}

static bool draw_edit(struct sim *s, struct prng *p, struct belief *b, struct admin_edit *edit)
{
    *edit = (struct admin_edit){0};
    switch (prng_below(p, 8)) {
    case 0:
    case 1:
    case 2:
        return draw_add(s, p, b, edit);
    case 3:
    case 4:
        return draw_promote(p, b, edit);
    case 5:
    case 6:
        return draw_less(s, p, b, edit);
    default:
        return draw_priority(p, b, edit);
    }
}

/* Anything at all: it is to be refused, or to do no harm. */
static void draw_nonsense(struct sim *s, struct prng *p, struct admin_request *request)
{
    request->edit_count = (uint32_t)prng_below(p, EDITS_MAX + 1);
    for (uint32_t i = 0; i < request->edit_count; i++) {
        const raft_node node = (raft_node)prng_below(p, SIM_NODES_MAX + 2);
        const bool add = node == 0 || node > s->node_count;
        request->edit[i] = (struct admin_edit){
            .kind = add ? ADMIN_ADD : ADMIN_PROMOTE,
            .node = node,
            .promote = prng_below(p, 2) == 0,
            .replaces = (uint16_t)prng_below(p, SIM_NODES_MAX + 2),
        };
    }
}

/* Frames of the lost may still arrive, and tell the leader that they live. */
static bool lost_lately(const struct sim *s)
{
    return s->lost != 0 &&
           s->now_ns - s->lost_ns < s->plan.net.late_max_ns + 3 * s->plan.options.election_max_ns;
}

/* A node that has been removed needs no process. */
static void retire_one(struct sim *s, struct prng *p)
{
    struct sim_node *n = &s->node[prng_below(p, s->node_count)];

    if (n->replica == NULL || n->who != SIM_ITSELF || sim_is_member(s, n) || n->swapped != NULL ||
        (check_members_named(s->members) & bit(sim_id(n))) != 0 || prng_below(p, 2) == 0)
        return;
    cluster_crash(s, n, SIM_KILL);
    sim_happen(s, SIM_RETIRE);
    sim_trace(s, "node %u: retired", sim_id(n));
}

void members_ask_change(struct sim *s, struct prng *p, struct sim_node *n)
{
    struct admin_request request = {.kind = ADMIN_CHANGE};
    const uint32_t tries = (uint32_t)prng_between(p, 1, EDITS_MAX);

    if (n->replica == NULL || n->admin.tag != 0 || lost_lately(s))
        return;
    struct belief b = believe(raft_config(replica_raft(n->replica)));
    const bool lost = (s->lost & check_members_named(s->members)) != 0;
    request.forced = !lost && prng_below(p, 4) == 0;
    for (uint32_t i = 0; i < tries; i++) {
        struct admin_edit *edit = &request.edit[request.edit_count];
        if (!draw_edit(s, p, &b, edit))
            continue;
        b.touched |= bit(edit->node) | (edit->replaces != 0 ? bit(edit->replaces) : 0);
        request.edit_count++;
    }
    if (prng_below(p, 16) == 0 && !lost)
        draw_nonsense(s, p, &request);
    const int kept = __builtin_popcount(b.voters & ~s->lost);
    if (kept * 2 <= __builtin_popcount(b.voters) || !members_ask(s, n, &request))
        return;
    sim_happen(s, SIM_CHANGE);
    if (request.forced)
        sim_happen(s, SIM_CHANGE_FORCED);
    sim_trace(s, "node %u is asked for %u edits%s", sim_id(n), request.edit_count,
              request.forced ? ", forced" : "");
}

void members_change(struct sim *s, struct prng *p)
{
    struct sim_node *n = draw_asked(s, p);

    retire_one(s, p);
    if (n != NULL)
        members_ask_change(s, p, n);
}

/* ---- transfers ------------------------------------------------------------------------------- */

bool members_ask_transfer(struct sim *s, struct sim_node *n, uint16_t target)
{
    const struct admin_request request = {.kind = ADMIN_TRANSFER, .target = target};

    if (n->replica == NULL || n->admin.tag != 0 || !members_ask(s, n, &request))
        return false;
    sim_happen(s, SIM_TRANSFER);
    sim_trace(s, "node %u is asked to hand over to %u", sim_id(n), target);
    return true;
}

void members_transfer(struct sim *s, struct prng *p)
{
    struct sim_node *n = draw_asked(s, p);
    uint16_t target = 0;

    if (prng_below(p, 2) == 0)
        target = (uint16_t)prng_between(p, 1, s->node_count); /* alive or not, voter or not */
    if (n != NULL && members_ask_transfer(s, n, target))
        n->admin.leaves = target == 0 && prng_below(p, 2) == 0;
}

/* ---- answers --------------------------------------------------------------------------------- */

static const struct raft_member *member_of(const struct raft_config *config, raft_node node)
{
    for (uint32_t i = 0; i < config->count; i++)
        if (config->member[i].node == node)
            return &config->member[i];
    return NULL;
}

static bool shows_edit(const struct raft_config *config, const struct admin_edit *edit)
{
    const struct raft_member *m = member_of(config, edit->node);

    switch ((enum admin_edit_kind)edit->kind) {
    case ADMIN_ADD:
        return m != NULL;
    case ADMIN_PROMOTE:
        return m != NULL && m->voter;
    case ADMIN_DEMOTE:
        return m != NULL && !m->voter;
    case ADMIN_REMOVE:
        return m == NULL;
    case ADMIN_PRIORITY:
        return m != NULL && m->priority == edit->priority;
    }
    return false;
}

/* A promotion takes the member along that it replaces, whatever else was asked for that one. */
static bool shows_change(const struct raft_config *config, const struct admin_request *request)
{
    bool promotes = false;

    for (uint32_t i = 0; i < request->edit_count; i++)
        promotes = promotes || request->edit[i].kind == ADMIN_PROMOTE;
    for (uint32_t i = 0; i < request->edit_count; i++)
        if (!shows_edit(config, &request->edit[i]) &&
            !(promotes && member_of(config, request->edit[i].node) == NULL))
            return false;
    return !config->joint;
}

/* A configuration that was committed since it was asked for shows it; the one that the answer names
 * may be a later one. */
static void check_change_done(struct sim *s, const struct sim_admin *admin, raft_index index)
{
    const struct raft_config *named = check_members_at(s->members, index);
    bool shown = false;

    for (raft_index i = admin->commit + 1; i <= index && !shown; i++) {
        const struct raft_config *config = check_members_at(s->members, i);
        shown = config != NULL && shows_change(config, &admin->request);
    }
    if (named == NULL || named->joint || !shown)
        check_fail(&s->report, "admin-fate",
                   "a change is done, says an answer, by the configuration at %" PRIu64
                   ", but none shows it",
                   index);
}

static void check_transfer_done(struct sim *s, const struct sim_node *n)
{
    const struct sim_admin *admin = &n->admin;
    const uint16_t target = admin->request.target;

    if (target == 0 ? check_log_term(s->log) > admin->term : s->node[target - 1].seen.led_term > 0)
        return;
    check_fail(&s->report, "admin-fate",
               "node %u says that it has handed over to %u, who never led", sim_id(n), target);
}

static void count_answer(struct sim *s, bool change, enum answer_status status)
{
    switch (status) {
    case ANSWER_OK:
        sim_happen(s, change ? SIM_CHANGE_DONE : SIM_TRANSFER_DONE);
        break;
    case ANSWER_REFUSED:
        sim_happen(s, change ? SIM_CHANGE_REFUSED : SIM_TRANSFER_REFUSED);
        break;
    case ANSWER_UNKNOWN:
        sim_happen(s, change ? SIM_CHANGE_UNKNOWN : SIM_TRANSFER_UNKNOWN);
        break;
    case ANSWER_NOT_LEADER:
        sim_happen(s, SIM_ADMIN_NOT_LEADER);
        break;
    case ANSWER_BUSY:
        break;
    case ANSWER_TIMED_OUT:
    case ANSWER_NO_ROOM:
    case ANSWER_CORRUPT:
    case ANSWER_BAD:
        check_fail(&s->report, "admin-fate", "an operator is answered %u", status);
        break;
    }
}

void members_answer(struct sim *s, struct sim_node *n, const struct answer *answer)
{
    struct sim_admin *admin = &n->admin;
    const bool change = admin->request.kind == ADMIN_CHANGE;

    ASSERT(answer->tag == admin->tag);
    count_answer(s, change, (enum answer_status)answer->status);
    if (answer->status == ANSWER_OK && change)
        check_change_done(s, admin, answer->index);
    else if (answer->status == ANSWER_OK)
        check_transfer_done(s, n);
    sim_trace(s, "node %u answers its operator: %u %u", sim_id(n), answer->status, answer->refusal);
    admin->verdict = (struct sim_verdict){.status = (enum answer_status)answer->status,
                                          .refusal = (enum admin_refusal)answer->refusal};
    admin->tag = 0;
    s->admin_open--;
    n->leaves = admin->leaves;
}

/* ---- phase two ------------------------------------------------------------------------------- */

uint32_t members_draw_dead(struct sim *s)
{
    uint32_t dead = 0;

    for (uint32_t i = 0; i < s->node_count; i++)
        if (sim_is_lost(s, &s->node[i]) && s->node[i].who == SIM_ITSELF)
            dead |= 1U << i; /* nobody starts it without a disk */
    /* What is still asked for may take away more. */
    if (s->config.calm || s->admin_open > 0 || !disks_all_have_entries(s) ||
        prng_below(&s->prng, 3) != 0)
        return dead;
    const uint32_t from = (uint32_t)prng_below(&s->prng, s->node_count);
    for (uint32_t i = 0; i < s->node_count; i++) {
        const struct sim_node *n = &s->node[(from + i) % s->node_count];
        const uint32_t more = dead | 1U << n->number;
        if (n != s->clone && prng_below(&s->prng, 2) == 0 &&
            check_members_endure(s->members, more | s->lost | harm_victims(s)))
            dead = more;
    }
    return dead;
}
