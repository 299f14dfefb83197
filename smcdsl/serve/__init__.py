"""Programs served over HTTP, as OpenAI's chat completions are asked for."""
