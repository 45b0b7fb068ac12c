/* model_cache.h - compiled models on disk, so that a scene is not compiled at every start.
 *
 * A file is DIR/KEY.mjb; KEY is the SHA-256 of everything the model depends on. Bytes:
 *   offset  size  what
 *   0       8     magic "VLAMJB2\n"
 *   8       32    SHA-256 of everything that follows
 *   40      8     u64 nv
 *   48      8*nv  home_warmstart of the scene, f64
 *   ...     ...   what mj_saveModel writes
 * MuJoCo may crash on a damaged .mjb, so the hash is checked before MuJoCo sees the bytes.
 * Nothing here is ever an error: a model that cannot be read is compiled, one that cannot be
 * written is compiled again next time. Test: tests/unit/test_scene.c */
#ifndef VK_SIM_MODEL_CACHE_H
#define VK_SIM_MODEL_CACHE_H

#include <mujoco/mujoco.h>

#include "core/fs.h"
#include "sim/scene.h"

/* The user's folder of compiled models, $XDG_CACHE_HOME/vlakit/models, written to path; NULL when
 * the user has none. For vk_scene_new. */
const char *vk_model_cache_dir(char path[VK_FS_PATH_MAX]);

/* Takes scene->model and scene->home_warmstart from the cache; false when there is no intact file
 * of that key. */
bool vk_model_cache_load(vk_scene *scene, const char *dir, const char key[65]);

/* Writes the file at once or not at all, and makes dir when there is none. */
void vk_model_cache_store(const vk_scene *scene, const char *dir, const char key[65]);

#endif
