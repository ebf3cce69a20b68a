// Copyright 2026 the linechat authors. MIT license.

import type { Room } from "./room.ts";
import type { Texts } from "./texts.ts";

/** The parts of the client that the local commands use. */
export interface CommandContext {
  readonly room: Room;
  readonly texts: Texts;
  note(text: string): void;
  clear(): void;
  reconnect(): void;
}

/** The local commands. The server does not receive them. */
const COMMANDS: Record<
  string,
  (context: CommandContext, name: string) => void
> = {
  "/clear": (context) => context.clear(),

  "/ignore"({ room, texts, note }, name) {
    if (name === "") return note(texts.ignored([...room.ignored].sort()));
    room.ignored.add(memberName(room, name));
    note(texts.ignoring(name));
  },

  "/names"({ room, texts, note }) {
    note(texts.here(room.members.names));
  },

  "/reconnect": (context) => context.reconnect(),

  "/unignore"({ room, texts, note }, name) {
    if (name === "") return note(texts.ignored([...room.ignored].sort()));
    room.ignored.delete(memberName(room, name));
    note(texts.notIgnoring(name));
  },
};

/** Returns the name of a member in its own case, or else the given name. */
function memberName(room: Room, name: string): string {
  const lower = name.toLowerCase();
  return room.members.names.find((member) => member.toLowerCase() === lower) ??
    name;
}

/** Runs a line if it is a local command. Returns whether it is one. */
export function runCommand(line: string, context: CommandContext): boolean {
  const [, command, name] = /^(\/\w+)\s*(.*?)\s*$/.exec(line) ?? [];
  const run = COMMANDS[command?.toLowerCase()];
  run?.(context, name);
  return run !== undefined;
}
