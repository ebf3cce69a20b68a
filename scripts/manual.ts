// Copyright 2026 the linechat authors. MIT license.

/**
 * Writes the manual pages and the shell completions of the commands, from the same
 * tables of options as `--help`.
 *
 * ```sh
 * deno run -W scripts/manual.ts DIRECTORY
 * ```
 *
 * `deno task compile` adds these files to the binaries.
 */

import type { Option, Options } from "../cli.ts";
import config from "../deno.json" with { type: "json" };
import { ABOUT } from "../netcat/help.ts";
import { OPTIONS } from "../netcat/options.ts";
import { OPTIONS as SERVER_OPTIONS } from "../server/options.ts";

/** The parts of a manual page. */
interface Program {
  name: string;
  /** One line, without a period. */
  summary: string;
  /** The arguments that are not options. */
  operands: string;
  description: string;
  options: Options;
  /** More sections: a title, and rows of a term and its text. */
  sections: [string, readonly (readonly [string, { en: string }])[]][];
}

const PROGRAMS: Program[] = [
  {
    name: "linechat",
    summary: "TCP chat server",
    operands: "",
    description:
      "A line-based chat server: every line of a client is broadcast to all clients.",
    options: SERVER_OPTIONS,
    sections: [
      ["EXIT STATUS", [
        ["0", { en: "the server was stopped by SIGINT or SIGTERM" }],
        ["1", { en: "the server cannot listen or cannot read its files" }],
        ["2", { en: "wrong usage" }],
      ]],
    ],
  },
  {
    name: "linechat-netcat",
    summary: "client of the TCP chat server linechat",
    operands: "[SERVER]",
    description: ABOUT.description.en,
    options: OPTIONS,
    sections: [
      ["SERVER", ABOUT.targets],
      ["KEYS", ABOUT.keys],
      ["EXIT STATUS", ABOUT.exitCodes],
      [
        "EXAMPLES",
        ABOUT.examples.map(([args, text]) =>
          [`linechat-netcat ${args}`.trimEnd(), text] as const
        ),
      ],
    ],
  },
];

/** Returns the text of each file by its name. */
export function manualFiles(): Map<string, string> {
  return new Map(
    PROGRAMS.flatMap((program): [string, string][] => [
      [`${program.name}.1`, manualPage(program)],
      [`${program.name}.bash`, bashCompletion(program)],
      [`_${program.name}`, zshCompletion(program)],
      [`${program.name}.fish`, fishCompletion(program)],
    ]),
  );
}

/** Returns a manual page for `man`. */
function manualPage(
  { name, summary, operands, description, options, sections }: Program,
): string {
  const row = (term: string, text: string) =>
    `.TP\n${roff(term)}\n${roff(text)}\n`;
  const rows = Object.entries<Option>(options).map(([option, table]) => {
    const { short, default: value } = table;
    const flag = short === undefined ? `--${option}` : `-${short}, --${option}`;
    const note = value === undefined ? "" : ` (default ${value})`;
    return row(
      `${flag} ${valueOf(table) ?? ""}`.trimEnd(),
      textOf(table) + note,
    );
  });
  return [
    `.TH ${name.toUpperCase()} 1 "" "linechat ${config.version}"\n`,
    `.SH NAME\n${roff(name)} \\- ${roff(summary)}\n`,
    `.SH SYNOPSIS\n${roff(`${name} [OPTIONS] ${operands}`.trimEnd())}\n`,
    `.SH DESCRIPTION\n${roff(description)}\n`,
    `.SH OPTIONS\n${rows.join("")}`,
    ...sections.map(([title, rows]) =>
      `.SH ${title}\n${rows.map(([term, { en }]) => row(term, en)).join("")}`
    ),
  ].join("");
}

/** Escapes text for a manual page. */
function roff(text: string): string {
  return text.replaceAll("\\", "\\e").replaceAll("-", "\\-")
    .replace(/^([.'])/gm, "\\&$1");
}

/** Returns the placeholder of an option's value, or the values to choose from. */
function valueOf({ value, choices }: Option): string | undefined {
  return choices?.join("|") ?? value;
}

/** Returns whether the value of an option is a file. */
function takesFile({ value }: Option): boolean {
  return value === "FILE" || value === "PATH";
}

/** Returns the text for an option. The binaries have the permissions that it needs. */
function textOf({ help }: Option): string {
  return help.en.replace(/[;.] needs -.*$/i, "");
}

/** Returns the forms of an option: the long one, and the letter. */
function flagsOf([name, { short }]: [string, Option]): string[] {
  return short === undefined ? [`--${name}`] : [`--${name}`, `-${short}`];
}

/** Returns a completion for bash. */
function bashCompletion({ name, options }: Program): string {
  const entries = Object.entries<Option>(options);
  const cases = entries.flatMap((entry) => {
    const [, option] = entry;
    if (valueOf(option) === undefined) return [];
    const flags = flagsOf(entry).join("|");
    if (takesFile(option)) {
      // File names may contain spaces.
      return [
        `    ${flags}) IFS=$'\\n'; COMPREPLY=($(compgen -f -- "$current")) ;;`,
      ];
    }
    const words = option.choices?.join(" ") ?? "";
    return [
      `    ${flags}) COMPREPLY=($(compgen -W "${words}" -- "$current")) ;;`,
    ];
  });
  const command = `_${name.replaceAll("-", "_")}`;
  return `# bash completion for ${name}
${command}() {
  local IFS=$' \\n' current=\${COMP_WORDS[COMP_CWORD]}
  case \${COMP_WORDS[COMP_CWORD - 1]} in
${cases.join("\n")}
    *) COMPREPLY=($(compgen -W "${
    entries.flatMap(flagsOf).join(" ")
  }" -- "$current")) ;;
  esac
}
complete -o filenames -F ${command} ${name}
`;
}

/** Returns a completion for zsh. */
function zshCompletion({ name, options }: Program): string {
  const quote = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
  const specs = Object.entries<Option>(options).map((entry) => {
    const [, option] = entry;
    const flags = flagsOf(entry);
    const help = textOf(option).replace(/[[\]:\\]/g, "\\$&");
    const value = option.choices
      ? `:value:(${option.choices.join(" ")})`
      : takesFile(option)
      ? ":file:_files"
      : option.value
      ? `:${option.value}: `
      : "";
    const repeat = option.multiple ? "*" : "";
    const exclusive = repeat || flags.length < 2 ? "" : `(${flags.join(" ")})`;
    return flags.map((flag) =>
      quote(`${repeat}${exclusive}${flag}[${help}]${value}`)
    ).join(" \\\n  ");
  });
  return `#compdef ${name}
_arguments \\
  ${specs.join(" \\\n  ")} \\
  '*: : '
`;
}

/** Returns a completion for fish. */
function fishCompletion({ name, options }: Program): string {
  const rows = Object.entries<Option>(options).map(([long, option]) => {
    const value = option.choices
      ? ` -x -a "${option.choices.join(" ")}"`
      : takesFile(option)
      ? " -r -F"
      : option.value
      ? " -x"
      : "";
    const short = option.short === undefined ? "" : ` -s ${option.short}`;
    const help = textOf(option).replace(/['\\]/g, "\\$&");
    return `complete -c ${name} -l ${long}${short}${value} -d '${help}'`;
  });
  return `# fish completion for ${name}
complete -c ${name} -f
${rows.join("\n")}
`;
}

if (import.meta.main) {
  const [directory = "."] = Deno.args;
  for (const [name, text] of manualFiles()) {
    await Deno.writeTextFile(`${directory}/${name}`, text);
  }
}
