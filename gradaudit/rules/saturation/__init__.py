"""SAT: where the function stops answering."""
