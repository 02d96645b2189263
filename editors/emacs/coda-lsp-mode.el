;;; coda-lsp-mode.el --- CoDA beside other servers, in lsp-mode  -*- lexical-binding: t; -*-

;; Load this in your init file, then M-x lsp in a buffer.
;; Suggestions while typing need lsp-mode 10 or newer.

(require 'lsp-mode)
(require 'lsp-inline-completion nil t)

(defvar coda-command '("coda-lsp" "--stdio")
  "The server and its arguments.")

(defvar coda-settings '(:maxTokens 96)
  "The server's settings, as a property list.")

(lsp-register-client
 (make-lsp-client
  :server-id 'coda
  :add-on? t ; it works beside the language's own server
  :new-connection (lsp-stdio-connection (lambda () coda-command))
  :activation-fn (lsp-activate-on "python" "javascript" "javascriptreact" "typescript" "typescriptreact" "go" "rust"
                                  "java" "c" "cpp" "csharp" "ruby" "php" "shellscript" "html" "css" "json")
  :initialization-options (lambda () coda-settings)))

(when (boundp 'lsp-inline-completion-idle-delay)
  (setq lsp-inline-completion-idle-delay 0.2))

(defun coda-fill-selection ()
  "Rewrite the selection from both sides."
  (interactive)
  (lsp-execute-code-action-by-kind "refactor.rewrite.coda"))

(defun coda-fill-holes ()
  "Fill the holes of this file jointly: bodies that are `...', TODO and the like."
  (interactive)
  (lsp-execute-code-action-by-kind "source.coda.fillHoles"))

(defun coda-regenerate ()
  "Write the fill at point, the last one, anew."
  (interactive)
  (lsp-execute-code-action-by-kind "refactor.rewrite.coda.regenerate"))

(provide 'coda-lsp-mode)
;;; coda-lsp-mode.el ends here
