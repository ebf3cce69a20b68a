// Copyright 2026 the linechat authors. MIT license.

/** The mode of a new file: only its user can read it. */
const NEW_FILE_MODE = 0o600;

/**
 * Writes a file so that a crash leaves either the old or the new contents. The file keeps
 * its mode. A symbolic link stays, and its target is written.
 *
 * It first writes the new contents to a file with `.new` appended to the name.
 */
export async function writeFileAtomically(
  path: string,
  text: string,
): Promise<void> {
  const target = await ifFound(Deno.realPath(path)) ?? path;
  const mode = (await ifFound(Deno.stat(target)))?.mode ?? NEW_FILE_MODE;
  const temporary = `${target}.new`;
  try {
    await writeAndSync(temporary, text, mode & 0o777);
    await Deno.rename(temporary, target);
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw error;
  }
}

async function writeAndSync(
  path: string,
  text: string,
  mode: number,
): Promise<void> {
  using file = await Deno.open(path, {
    write: true,
    create: true,
    truncate: true,
    mode: NEW_FILE_MODE,
  });
  let bytes = new TextEncoder().encode(text);
  while (bytes.length > 0) bytes = bytes.subarray(await file.write(bytes));
  if (Deno.build.os !== "windows") await Deno.chmod(path, mode);
  await file.sync();
}

async function ifFound<T>(promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
