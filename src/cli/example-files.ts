/** What `kiwi init` writes, by path below the project. Every one is small enough to be read as a lesson. */
export const EXAMPLE_FILES: readonly { readonly path: string; readonly text: string }[] = [
  {
    path: '.ai/config.yaml',
    text: `# Configuration of this project; docs/configuration.md lists every field.
# It is used only while its signature holds. After each change: kiwi sign config
#
# models:
#   default_tier: balanced
#   tiers:
#     balanced: { tool: anthropic_thread, model: claude-sonnet-5 }
#     fast: { tool: openai_thread, model: gpt-5-mini }
#   prices:                       # US dollars per million tokens, for models the price list does not know
#     my-model: { input: 1, output: 4 }
# providers:
#   openai: { base_url: "http://127.0.0.1:11434/v1", key_env: OLLAMA_API_KEY }
# host:
#   idle_exit_seconds: 60
`,
  },
  { path: '.ai/package.json', text: '{ "type": "module" }\n' },
  {
    path: '.ai/directives/example/hello_kiwi.md',
    text: `# Hello, Kiwi

A first directive: it uses one tool and answers. Run it with \`kiwi run hello_kiwi\`.

\`\`\`xml
<directive name="hello_kiwi" version="1.0.0">
  <metadata>
    <description>Count the words of a text with a tool and answer in one sentence</description>
    <category>example</category>
    <author>kiwi init</author>
    <model tier="fast" fallback="balanced"/>
    <cost>
      <max_turns>6</max_turns>
      <on_exceeded>stop</on_exceeded>
      <max_cost_usd>0.25</max_cost_usd>
    </cost>
    <permissions>
      <execute resource="kiwi-mcp" action="execute"/>
      <execute resource="tool" id="count_words"/>
    </permissions>
  </metadata>
  <inputs>
    <input name="text" type="string" default="Hello from a managed thread.">The text to count</input>
  </inputs>
  <process>
    <step name="count">Execute the tool count_words with the parameter text.</step>
    <step name="answer">Say in one sentence how many words and characters the text has.</step>
  </process>
  <success_criteria>
    <criterion>The numbers come from the tool</criterion>
  </success_criteria>
</directive>
\`\`\`
`,
  },
  {
    path: '.ai/tools/example/count_words.ts',
    text: `export const __tool_type__ = 'runtime'
export const __version__ = '1.0.0'
export const __executor_id__ = 'node'
export const __category__ = 'example'
export const __description__ = 'Count the words, characters and lines of a text'
export const __effect__ = 'pure'
export const PARAMETERS = {
  type: 'object',
  additionalProperties: false,
  required: ['text'],
  properties: { text: { type: 'string', description: 'The text to count' } },
}

export default async function countWords({ text }: { text: string }) {
  return { words: text.split(/\\s+/).filter((word) => word !== '').length, characters: text.length, lines: text.split('\\n').length }
}
`,
  },
  {
    path: '.ai/scenarios/hello_kiwi.yaml',
    text: `# What a scripted model says to hello_kiwi, so that it runs without a key:
#   kiwi model --scenario .ai/scenarios/hello_kiwi.yaml
scenario: hello_kiwi
rules:
  - name: count the words of the instructions
    when: { turn: 1 }
    reply:
      text: I count the words first.
      tool_calls:
        - name: execute
          arguments: { item_type: tool, item_id: count_words, parameters: { text: "{{ first_user }}" } }
  - name: answer
    when: { last_result: count_words }
    reply:
      text: "Scripted answer: the instructions of this thread have {{ results.count_words.last.words }} words."
`,
  },
]

/** Folders of a project, those without an example file included. */
export const PROJECT_FOLDERS: readonly string[] = ['.ai/directives', '.ai/tools', '.ai/knowledge', '.ai/threads']

/** The line that keeps run data out of version control. */
export const IGNORED_FOLDER = '.ai/threads/'
