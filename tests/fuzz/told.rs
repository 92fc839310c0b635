//! What holds of every problem with a text: it is said, it can be drawn, and
//! it is somewhere in the text.

use annotate_snippets::Renderer;
use ostler::config::Problems;

/// The problems as an operator reads them.
pub fn told(problems: &Problems, text: &str) -> String {
    assert!(!problems.is_empty(), "refused, and nothing is said of why");
    // Lines as an editor counts them.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines: Vec<&str> = text.split('\n').collect();
    for problem in problems.iter() {
        if let Some(place) = problem.place() {
            let line = lines.get(place.line - 1).unwrap_or_else(|| panic!("beyond the text: {problem}"));
            assert!((1..=line.chars().count() + 1).contains(&place.column), "beyond the line: {problem}");
        }
        assert!(!problem.words().is_empty(), "a problem without words");
    }
    let drawn = problems.draw(&Renderer::plain());
    assert!(!drawn.is_empty(), "nothing is drawn");
    format!("{problems}\n{drawn}")
}
