// Copyright 2026 the linechat authors. MIT license.

/**
 * A Unix socket.
 *
 * @module
 */

import { dirname, join } from "node:path";
import { CommandError } from "../cli.ts";
import type { Lang } from "../mod.ts";

/** Maximum length of a socket path on this system, in bytes. */
const MAX_PATH = Deno.build.os === "linux" ? 107 : 103;
/** Length of the temporary path of a socket without its directory, in bytes. */
const UNFINISHED_LENGTH = "/.0123456789abcdef/s".length;

/** Accepts connections on a Unix socket. */
export class UnixListener implements AsyncIterable<Deno.UnixConn> {
  readonly #listener: Deno.UnixListener;
  readonly #path: string;
  /** Identifies the file that this listener created. */
  readonly #id: string;

  private constructor(listener: Deno.UnixListener, path: string, id: string) {
    this.#listener = listener;
    this.#path = path;
    this.#id = id;
  }

  /**
   * Opens a socket that only the user of this process can connect to. An
   * unused socket file is replaced, by one process at a time.
   */
  static async open(path: string, lang: Lang): Promise<UnixListener> {
    checkLength(path, lang);
    using _lock = await lockDirectory(path, lang);
    await checkFree(path, lang);
    const listener = await bind(path, lang);
    return new UnixListener(listener, path, await identify(path));
  }

  close(): void {
    this.#listener.close();
  }

  /**
   * Removes the file, unless another one has replaced it. Call this before `close`:
   * until then, no other file can have the same inode.
   */
  async remove(): Promise<void> {
    try {
      if (await identify(this.#path) === this.#id) {
        await Deno.remove(this.#path);
      }
    } catch {
      // The file has been removed.
    }
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<Deno.UnixConn> {
    return this.#listener[Symbol.asyncIterator]();
  }
}

function checkLength(path: string, lang: Lang): void {
  const length = (text: string) => new TextEncoder().encode(text).length;
  const maxDirectory = MAX_PATH - UNFINISHED_LENGTH;
  if (
    length(path) <= MAX_PATH && length(dirname(path)) <= maxDirectory
  ) return;
  throw new CommandError({
    en: `the path is too long, it can have ${MAX_PATH} bytes, ` +
      `and ${maxDirectory} of them for the directory`,
    zh: `路径过长，最多 ${MAX_PATH} 字节，其中目录最多 ${maxDirectory} 字节`,
  }, lang);
}

/** Locks the directory of a path, for one process at a time. */
async function lockDirectory(path: string, lang: Lang): Promise<Deno.FsFile> {
  const directory = await Deno.open(dirname(path)).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new CommandError({
      en: "the directory does not exist, create it first",
      zh: "目录不存在，请先创建",
    }, lang);
  });
  await directory.lock(true);
  return directory;
}

/** Checks that a path is free, or is a socket file that no process uses. */
async function checkFree(path: string, lang: Lang): Promise<void> {
  const info = await Deno.lstat(path).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
  if (info === undefined) return;
  if (!info.isSocket) {
    throw new CommandError({
      en: "the file exists and is not a socket, choose another path",
      zh: "文件已存在，并且不是套接字，请换一个路径",
    }, lang);
  }
  try {
    (await Deno.connect({ transport: "unix", path })).close();
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused) return;
    if (!(error instanceof Deno.errors.PermissionDenied)) throw error;
    throw new CommandError({
      en: "it is the socket of another user, choose another path",
      zh: "它是其他用户的套接字，请换一个路径",
    }, lang);
  }
  throw new CommandError({
    en: "address already in use, choose another path or stop the other server",
    zh: "地址已被占用，请换一个路径或停止另一个服务器",
  }, lang);
}

/**
 * Creates a socket in a directory of its own and then moves it, so that no
 * other user can connect before it has the right mode.
 */
async function bind(path: string, lang: Lang): Promise<Deno.UnixListener> {
  const dir = dirname(path);
  const directory = await Deno.makeTempDir({ dir, prefix: "." })
    .catch((error) => {
      if (!(error instanceof Deno.errors.PermissionDenied)) throw error;
      throw new CommandError({
        en: "no permission to create files in the directory",
        zh: "没有在该目录中创建文件的权限",
      }, lang);
    });
  const unfinished = join(directory, "s");
  try {
    const listener = Deno.listen({ transport: "unix", path: unfinished });
    try {
      await Deno.chmod(unfinished, 0o600);
      await Deno.rename(unfinished, path);
      return listener;
    } catch (error) {
      listener.close();
      throw error;
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function identify(path: string): Promise<string> {
  const { dev, ino } = await Deno.lstat(path);
  return `${dev}:${ino}`;
}
