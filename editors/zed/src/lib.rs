//! Starts CoDA's language server in Zed, with what the user's settings say under `lsp.coda`.

use zed_extension_api::{
    self as zed, serde_json, settings::LspSettings, LanguageServerId, Result, Worktree,
};

const PROGRAM: &str = "coda-lsp";
const ARGUMENT: &str = "--stdio";

struct Coda;

impl zed::Extension for Coda {
    fn new() -> Self {
        Self
    }

    fn language_server_command(
        &mut self,
        id: &LanguageServerId,
        worktree: &Worktree,
    ) -> Result<zed::Command> {
        let binary = LspSettings::for_worktree(id.as_ref(), worktree)?.binary;
        let (path, arguments) = binary.map_or((None, None), |given| (given.path, given.arguments));
        let command = path.or_else(|| worktree.which(PROGRAM)).ok_or_else(|| {
            format!("{PROGRAM} is not on the PATH: install it with pip, or set lsp.coda.binary.path.")
        })?;
        Ok(zed::Command {
            command,
            args: arguments.unwrap_or_else(|| vec![ARGUMENT.to_string()]),
            env: worktree.shell_env(),
        })
    }

    fn language_server_initialization_options(
        &mut self,
        id: &LanguageServerId,
        worktree: &Worktree,
    ) -> Result<Option<serde_json::Value>> {
        Ok(LspSettings::for_worktree(id.as_ref(), worktree)?.initialization_options)
    }

    fn language_server_workspace_configuration(
        &mut self,
        id: &LanguageServerId,
        worktree: &Worktree,
    ) -> Result<Option<serde_json::Value>> {
        let settings = LspSettings::for_worktree(id.as_ref(), worktree)?.settings;
        Ok(settings.map(|coda| serde_json::json!({ "coda": coda })))
    }
}

zed::register_extension!(Coda);
