/*
 * Two rings as lists: users with requests, and for each his connections with requests. Whoever had
 * his turn goes to the end; whoever has nothing left is in no list.
 */
#include "rpc/turns.h"

static void append_user(struct turns *turns, struct turn_user *user)
{
    user->next = NULL;
    user->used_us = 0;
    if (turns->last)
        turns->last->next = user;
    else
        turns->first = user;
    turns->last = user;
}

static void shift_user(struct turns *turns)
{
    turns->first = turns->first->next;
    if (!turns->first)
        turns->last = NULL;
}

static void append_line(struct turn_user *user, struct turn_line *line)
{
    line->next = NULL;
    if (user->last)
        user->last->next = line;
    else
        user->first = line;
    user->last = line;
}

static void shift_line(struct turn_user *user)
{
    user->first = user->first->next;
    if (!user->first)
        user->last = NULL;
}

void turns_add(struct turns *turns, struct turn_line *line, struct turn *turn)
{
    turn->next = NULL;
    turn->line = line;
    if (line->last) {
        line->last->next = turn;
        line->last = turn;
        return;
    }
    line->first = line->last = turn;
    if (!line->user->first)
        append_user(turns, line->user);
    append_line(line->user, line);
}

struct turn *turns_take(struct turns *turns)
{
    struct turn_user *user = turns->first;
    if (!user)
        return NULL;
    turns->taken_of = user;
    struct turn_line *line = user->first;
    struct turn *turn = line->first;
    line->first = turn->next;
    if (!line->first)
        line->last = NULL;
    shift_line(user);
    if (line->first)
        append_line(user, line);
    if (!user->first)
        shift_user(turns);
    return turn;
}

void turns_charge(struct turns *turns, uint64_t us)
{
    struct turn_user *user = turns->first;
    if (!user || user != turns->taken_of)
        return;
    user->used_us += us;
    if (user->used_us < TURNS_WHILE_US)
        return;
    shift_user(turns);
    append_user(turns, user);
}
