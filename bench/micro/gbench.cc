// bench/micro/gbench.cc: the only C++ here, so that all benchmarks can be C.
#include "bench/micro/gbench.h"

#include <benchmark/benchmark.h>

struct gbench_state {
    benchmark::State *state;
};

int64_t gbench_arg(const struct gbench_state *state)
{
    return state->state->range(0);
}

bool gbench_next(struct gbench_state *state, uint32_t batch)
{
    return state->state->KeepRunningBatch(batch);
}

void gbench_pause(struct gbench_state *state)
{
    state->state->PauseTiming();
}

void gbench_resume(struct gbench_state *state)
{
    state->state->ResumeTiming();
}

void gbench_count_items(struct gbench_state *state, uint64_t items)
{
    state->state->SetItemsProcessed(static_cast<int64_t>(items));
}

void gbench_count_bytes(struct gbench_state *state, uint64_t bytes)
{
    state->state->SetBytesProcessed(static_cast<int64_t>(bytes));
}

void gbench_report(struct gbench_state *state, const char *name, double value)
{
    state->state->counters[name] = value;
}

void gbench_skip(struct gbench_state *state, const char *reason)
{
    state->state->SkipWithError(reason);
}

void gbench_register(const struct gbench_spec *spec)
{
    auto run = spec->run;
    auto *bench = benchmark::RegisterBenchmark(spec->name, [run](benchmark::State &state) {
        gbench_state lent = {&state};
        run(&lent);
    });

    if (spec->arg_name != nullptr)
        bench->ArgName(spec->arg_name);
    for (int i = 0; spec->arg_name != nullptr && i < GBENCH_ARGS_MAX && spec->args[i] != 0; i++)
        bench->Arg(spec->args[i]);
    if (spec->wall_time)
        bench->UseRealTime();
    if (spec->once)
        bench->Iterations(1);
}

int gbench_main(int argc, char **argv)
{
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv))
        return 1;
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}
