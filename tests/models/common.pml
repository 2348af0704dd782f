/* tests/models/common.pml: small sets as bits, and free choices.
 *
 * At most 5 nodes and terms, 4 places in a log. The including file defines NODES, and TERMS and
 * PLACES if it chooses among them.
 */
#define BIT(x) (1 << (x))
#define HAS(set, x) (((set) >> (x)) & 1)
#define COUNT(set) (HAS(set, 0) + HAS(set, 1) + HAS(set, 2) + HAS(set, 3) + HAS(set, 4))
#define IS_SINGLE(set) (((set) & ((set) - 1)) == 0)
#define MAX(a, b) ((a) > (b) -> (a) : (b))
#define MIN(a, b) ((a) < (b) -> (a) : (b))

inline any_node(x)
{
    if
    :: x = 0
    :: x = 1
    :: x = 2
#if NODES > 3
    :: x = 3
#endif
#if NODES > 4
    :: x = 4
#endif
    fi
}

#ifdef TERMS
inline any_term(x)
{
    if
    :: x = 1
    :: x = 2
#if TERMS > 2
    :: x = 3
#endif
#if TERMS > 3
    :: x = 4
#endif
#if TERMS > 4
    :: x = 5
#endif
    fi
}
#endif

#ifdef PLACES
inline any_place(x)
{
    if
    :: x = 1
#if PLACES > 1
    :: x = 2
#endif
#if PLACES > 2
    :: x = 3
#endif
#if PLACES > 3
    :: x = 4
#endif
    fi
}
#endif
