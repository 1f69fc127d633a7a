package plan

// LayerReport is what a step did to one layer's local problem; see the Diagnose option
// of package locoprop. Sums are in float64.
type LayerReport struct {
	Step         int     // the batch, counted from 0 over the whole run
	Layer        int     // from 0
	Form         string  // how the local problem was solved
	Iterations   int     // local iterations used: the most over the units; 0 where the form has none
	LossStart    float64 // local loss at W̃ₖ, 0 by definition
	LossEnd      float64 // local loss at the batch's end, relative to its start
	GradientNorm float64 // ‖γG‖_F, G = DᵀX̃ with D as the backward pass left it
	UpdateNorm   float64 // ‖Δ‖_F
	Cosine       float64 // ⟨Δ, −G⟩/(‖Δ‖‖G‖); 0 where either is 0
	Condition    float64 // estimate, from below, of the condition of the matrix that the form factors or takes the eigenvectors of, the worst of several; 0 where there is none
}

// ExampleStepper is a stepper that keeps something per training example. Its
// SetExamples must be called before every step with the examples of that batch, a
// distinct number from 0 for each row.
type ExampleStepper interface {
	Stepper
	SetExamples(ids []int) error
}

// CountingStepper is a stepper that does something in some steps only, such as
// diagnostics. SetStep tells it how many batches the run has done, so that a resumed
// run goes on with the same ones; without, it counts from 0.
type CountingStepper interface {
	Stepper
	SetStep(step int)
}
