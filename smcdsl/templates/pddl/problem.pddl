(define (problem p) (:domain blocksworld) (:objects b1 b2 b3) (:init (arm-empty) (clear b1) (on b1 b2) (on-table b2) (clear b3) (on-table b3)))
