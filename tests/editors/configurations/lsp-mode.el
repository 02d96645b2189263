;;; lsp-mode.el --- Take a suggestion, fill a line and a hole through lsp-mode  -*- lexical-binding: t; -*-
;; emacs --batch -l coda-lsp-mode.el --eval (setq coda-settings ...) -l lsp-mode.el FILE

(setq lsp-auto-guess-root t
      lsp-enable-file-watchers nil
      lsp-enabled-clients '(coda)
      lsp-response-timeout 120
      lsp-warn-no-matched-clients nil
      lsp-session-file (make-temp-file "lsp-session"))

(defun wait-until (fits)
  "Let messages come in until FITS says so, or two minutes are over."
  (with-timeout (120 (error "Waited in vain for %S" fits))
    (while (not (funcall fits))
      (accept-process-output nil 0.1))))

(find-file (car command-line-args-left))
(python-mode)
(lsp)
(wait-until (lambda () (and lsp--buffer-workspaces (eq (lsp--workspace-status (car lsp--buffer-workspaces)) 'initialized))))

;; A suggestion that was asked for, which waits for the model.
(goto-char (point-max))
(insert "total = -")
(lsp-inline-completion-display)
(lsp-inline-completion-accept)
(insert "\n")

;; The code action on a selection.
(goto-char (point-min))
(forward-line 1)
(set-mark (line-beginning-position))
(goto-char (line-end-position))
(transient-mark-mode 1)
(activate-mark)
(defun until-changed (command)
  "Call COMMAND and wait until it has changed the text."
  (let ((before (buffer-chars-modified-tick)))
    (funcall command)
    (wait-until (lambda () (/= before (buffer-chars-modified-tick))))))

(until-changed #'coda-fill-selection)
(deactivate-mark)
(goto-char (point-max))
(insert "\n\ndef later():\n    ...\n")
(until-changed #'coda-fill-holes)
(save-buffer)
(setq lsp-restart 'ignore)
(lsp-workspace-shutdown (car lsp--buffer-workspaces))
(setq command-line-args-left nil)
;;; lsp-mode.el ends here
