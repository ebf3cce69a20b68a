// Copyright 2026 the linechat authors. MIT license.

/** Returns the element of the page with an id. */
export function find<T extends HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

/** Returns what the page remembers, or nothing where the user has forbidden that. */
export function settings(): Record<string, string | undefined> {
  try {
    return globalThis.localStorage;
  } catch {
    return {};
  }
}

/** Creates an element with a text. */
export function create<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  className: string,
  text: string,
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}
