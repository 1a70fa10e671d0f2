//! Medians and how far the runs behind them lie apart.

/// A figure that was measured several times.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample(Vec<f64>);

impl Sample {
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        assert!(!values.is_empty(), "nothing was measured");
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// Round by round, this over that: what disturbs the machine for a while disturbs both.
    pub(crate) fn ratio(values: &[f64], bases: &[f64]) -> Self {
        assert_eq!(values.len(), bases.len(), "one of each in a round");
        Self::of(values.iter().zip(bases).map(|(value, base)| value / base))
    }

    pub(crate) fn median(&self) -> f64 {
        let middle = self.0.len() / 2;
        if self.0.len() % 2 == 1 { self.0[middle] } else { f64::midpoint(self.0[middle - 1], self.0[middle]) }
    }

    pub(crate) fn min(&self) -> f64 {
        self.0[0]
    }

    pub(crate) fn max(&self) -> f64 {
        self.0[self.0.len() - 1]
    }

    /// `1.02 … 1.10 of 5`
    pub(crate) fn spread(&self, digits: usize) -> String {
        format!("{:.digits$} … {:.digits$} of {}", self.min(), self.max(), self.0.len())
    }
}
