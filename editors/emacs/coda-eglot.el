;;; coda-eglot.el --- CoDA in Emacs's own client  -*- lexical-binding: t; -*-

;; Load this in your init file, then M-x eglot in a buffer.
;; Eglot has one server a buffer: this one takes the place of another.
;; Emacs 29 or newer.

(require 'eglot)

(defvar coda-command '("coda-lsp" "--stdio")
  "The server and its arguments.")

(defvar coda-settings '(:maxTokens 96)
  "The server's settings, as a property list.")

(add-to-list
 'eglot-server-programs
 (cons '(python-mode python-ts-mode
         js-mode js-ts-mode typescript-ts-mode tsx-ts-mode
         go-mode go-ts-mode rust-mode rust-ts-mode
         java-mode java-ts-mode c-mode c-ts-mode c++-mode c++-ts-mode
         csharp-mode csharp-ts-mode ruby-mode ruby-ts-mode php-mode
         sh-mode bash-ts-mode html-mode css-mode css-ts-mode json-ts-mode)
       (lambda (&rest _)
         (append coda-command (list :initializationOptions coda-settings)))))

(defun coda-fill-selection (start end)
  "Rewrite the text from START to END, the selection, from both sides."
  (interactive "r")
  (eglot-code-actions start end "refactor.rewrite.coda" t))

(defun coda-fill-holes ()
  "Fill the holes of this file jointly: bodies that are `...', TODO and the like."
  (interactive)
  (eglot-code-actions (point-min) (point-max) "source.coda.fillHoles" t))

(defun coda-regenerate ()
  "Write the fill at point, the last one, anew."
  (interactive)
  (eglot-code-actions (point) (point) "refactor.rewrite.coda.regenerate" t))

(provide 'coda-eglot)
;;; coda-eglot.el ends here
