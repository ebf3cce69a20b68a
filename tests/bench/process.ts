/** Processes of the benchmark: how they start, their memory and processor time. */

/** The root of this repository, without a slash at the end. */
export const ROOT = new URL("../..", import.meta.url).pathname
  .replace(/\/$/, "");

/** A server as a process. It ends with its scope. */
export interface Server extends AsyncDisposable {
  pid: number;
  hostname: string;
  port: number;
}

/** The options of {@linkcode startServer}. */
export interface ServerOptions {
  /** The directory in which the command runs. @default {ROOT} */
  cwd?: string;
  /** Matches the host and the port in the output. @default {/(\S+):(\d+)$/m} */
  address?: RegExp;
}

/** Starts a server and waits until it prints its address. */
export async function startServer(
  [command, ...args]: string[],
  { cwd = ROOT, address = /(\S+):(\d+)$/m }: ServerOptions = {},
): Promise<Server> {
  const child = new Deno.Command(command, {
    args,
    cwd,
    stdin: "null",
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const stop = async () => {
    try {
      child.kill("SIGKILL");
    } catch {
      // The process has ended.
    }
    await Promise.all([child.status, reader.cancel()]);
  };
  let text = "";
  while (!address.test(text)) {
    const { value } = await reader.read();
    if (value === undefined) {
      await stop();
      throw new Error(`Cannot start a server: ${command} ${args.join(" ")}`);
    }
    text += value;
  }
  const [, hostname, port] = address.exec(text)!;
  return {
    pid: child.pid,
    hostname,
    port: Number(port),
    [Symbol.asyncDispose]: stop,
  };
}

/** Reads a file of a process in /proc. Returns an empty text if it does not exist. */
async function proc(pid: number | undefined, file: string): Promise<string> {
  return pid === undefined
    ? ""
    : await Deno.readTextFile(`/proc/${pid}/${file}`).catch(() => "");
}

/** Measures the memory of a process in kB, now and at its peak. */
export async function memoryOf(
  pid?: number,
): Promise<{ now: number; peak: number } | undefined> {
  const status = await proc(pid, "status");
  const kB = (key: string) =>
    Number(new RegExp(`^${key}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]);
  if (status !== "") return { now: kB("VmRSS"), peak: kB("VmHWM") };
}

/** Measures the processor time of a process in seconds. */
export async function processorTimeOf(
  pid?: number,
): Promise<number | undefined> {
  const stat = await proc(pid, "stat");
  // Fields 14 and 15. Field 2 is a name in parentheses, which can contain spaces.
  const [user, system] = stat.slice(stat.lastIndexOf(")")).split(" ").slice(12);
  if (system !== undefined) return (Number(user) + Number(system)) / 100;
}
