;;; eglot.el --- Fill the second line of a file, and a hole, through Eglot  -*- lexical-binding: t; -*-
;; emacs --batch -l coda-eglot.el --eval (setq coda-settings ...) -l eglot.el FILE

(setq eglot-sync-connect 120
      eglot-connect-timeout 120)
(find-file (car command-line-args-left))
(python-mode)
(apply #'eglot (eglot--guess-contact))
(goto-char (point-min))
(forward-line 1)
;; Eglot waits ten seconds for an edit; on a busy machine the model may need longer to start.
(defun until-changed (command &rest arguments)
  "Call COMMAND with ARGUMENTS until it changes the text."
  (let ((before (buffer-chars-modified-tick))
        (tries 12))
    (while (and (= before (buffer-chars-modified-tick)) (> tries 0))
      (setq tries (1- tries))
      (with-demoted-errors "%S" (apply command arguments))
      (accept-process-output nil 1))))

(until-changed #'coda-fill-selection (line-beginning-position) (line-end-position))
(goto-char (point-max))
(insert "\n\ndef later():\n    ...\n")
(until-changed #'coda-fill-holes)
(save-buffer)
(eglot-shutdown-all)
(setq command-line-args-left nil)
;;; eglot.el ends here
