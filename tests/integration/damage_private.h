/* What the files of the damages share. */
#ifndef TESTS_INTEGRATION_DAMAGE_PRIVATE_H
#define TESTS_INTEGRATION_DAMAGE_PRIVATE_H

#include "damage.h"

enum { DAMAGE_GROUP_STRANGE = 1000 }; /* numbers from here on storaged has not given */

uint64_t damage_throw(struct damage_scene *scene, uint64_t sides);
/* One that is whole; NULL if there are too few left. */
struct damage_object *damage_pick(struct damage_scene *scene, bool booking);
/* Of something in its directory, below the top; the caller frees. */
char *damage_path(const struct damage_object *object, const char *inside);
/* One of the layout's folders, if it still is one; else the top. */
const char *damage_folder(struct damage_scene *scene);

/* A tenant may do this; it belongs to the space. */
void damage_add_nested(struct damage_scene *scene);
void damage_change_limit(struct damage_scene *scene);
/* That of the subvolume itself, as `btrfs qgroup limit` sets it. */
void damage_limit_subvolume(struct damage_scene *scene);
void damage_take_group(struct damage_scene *scene);
/* It is put in the group of another, or in one that nobody knows. */
void damage_misassign(struct damage_scene *scene);
void damage_add_group(struct damage_scene *scene);
void damage_change_access(struct damage_scene *scene);
void damage_make_read_only(struct damage_scene *scene);

#endif
